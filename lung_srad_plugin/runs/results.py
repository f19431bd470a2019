"""Scores, table, pictures and predictions of a run, each with the rule that selected its epoch."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lung_srad_plugin.datasets.synthetic.marker import TRAINED_ON_SYNTHETIC, trained_on_synthetic
from lung_srad_plugin.metrics.icbhi_score import confusion_counts, per_class_recall, scores_of_confusion
from lung_srad_plugin.metrics.predictions import PredictionTable
from lung_srad_plugin.metrics.predictions_file import write_predictions
from lung_srad_plugin.metrics.subgroups import metrics_by
from lung_srad_plugin.reporting.figures import plot_confusion, plot_history, save_figure
from lung_srad_plugin.runs.named_tests import ONLY
from lung_srad_plugin.runs.record import RunResults, Scores
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.utils.files import write_together
from lung_srad_plugin.utils.text import printable

TEXT_WIDTH = 160


def score_predictions(predictions: Any, labels: Sequence[str]) -> Scores:
    """Return all scores of one set of predictions.

    Arguments
    ---------
    predictions : Predictions
        Or anything else with ``targets`` and ``classes``, both (N,) class indices.
    labels : sequence of str
        The class names, the normal class first.
    """
    confusion = confusion_counts(predictions.targets, predictions.classes, len(labels))
    return Scores.model_validate(
        {
            "cycles": len(predictions.targets),
            "4class": scores_of_confusion(confusion),
            "2class": scores_of_confusion(confusion, task="2class"),
            "recall": per_class_recall(confusion, labels),
            "confusion": confusion.tolist(),
        }
    )


def score_data_sets(table: PredictionTable) -> dict[str, dict[str, Any]] | None:
    """Return the metrics of each data set in a table of predictions, as results hold them; None where it is one.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> metadata = {"dataset": ["one", "two"]}
    >>> table = make_table("ab", ["no", "yes"], [[0.9, 0.1], [0.2, 0.8]], ("no", "yes"), metadata)
    >>> found = score_data_sets(table)["two"]
    >>> found["support"], found["metrics"]["sensitivity_strict_class"], found["metrics"]["specificity"]
    ({'no': 0, 'yes': 1}, 100.0, None)
    """
    if len(set(table.metadata.get("dataset", ()))) < 2:
        return None
    return {
        name: {
            "cycles": len(part),
            "support": {label: int((part.targets == index).sum()) for index, label in enumerate(part.labels)},
            "metrics": {metric: None if math.isnan(value) else value for metric, value in values.items()},
        }
        for name, (part, values) in metrics_by(table, "dataset").items()
    }


def write_results(results: RunResults, run: RunFolder) -> Table:
    """Write ``results.json``, ``results.txt`` and the pictures of a run; return the table, to be printed."""
    table = results_table(results)
    write_together({run.results_file: results.as_json(), run.results_text: _as_text(table, results)})
    for rule, scores in results.selected.items():
        selected = "last epoch" if rule == "last" else f"epoch {scores.epoch} ({rule}-selected)"
        for name, found in scores.tests.items():
            cycles = "test cycles" if name == ONLY else f"cycles of test set {name}"
            figure = plot_confusion(found.confusion, results.labels, f"{cycles}, {selected}")
            save_figure(figure, run.confusion_plot(rule, name))
    if results.history:
        save_figure(plot_history(results.history, results.selected["valid"].epoch), run.history_plot)
    return table


def write_run_predictions(tables: Mapping[str, Mapping[str, PredictionTable]], run: RunFolder) -> None:
    """Write the predictions of a run, so that it can be evaluated without running the model again.

    Arguments
    ---------
    tables : Mapping
        By rule and part, ``valid`` and those of ``part_of``, the ``PredictionTable`` of its cycles.
    run : RunFolder
    """
    for rule, parts in tables.items():
        for part, table in parts.items():
            write_predictions(table, run.predictions(part, rule))


def results_table(results: RunResults) -> Table:
    """Return the scores of a run as a rich table: one row for each test set and rule that selected an epoch."""
    protocol = results.protocol
    title = f"{results.experiment}, {protocol.split}: test scores in percent, seed {results.seed}"
    table = Table(
        title=Text(printable(title)),
        caption=Text("\n".join(_caption_lines(results))),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("selected by")
    named = any(list(scores.tests) != [ONLY] for scores in results.selected.values())
    if named:
        table.add_column("test set")
    for name in ("epoch", "Sp", "Se", "Score", "2-class"):
        table.add_column(name, justify="right")
    for label in results.labels:
        table.add_column(Text(f"recall\n{printable(label)}"), justify="right")
    for rule, scores in results.selected.items():
        for name, found in scores.tests.items():
            where = [name] if named else []
            table.add_row(rule, *where, str(scores.epoch), *_numbers(found, results.labels))
            for data_set, one in (found.data_sets or {}).items():
                table.add_row(Text(f"  {printable(data_set)}"), *where, "", *_numbers_of(one, results.labels))
    return table


def _numbers(scores, labels):
    recalls = [scores.recall[label] for label in labels]
    rates = (scores.strict.specificity, scores.strict.sensitivity, scores.strict.score, scores.any_abnormal.score)
    return [f"{value:.2f}" for value in (*rates, *recalls)]


def _numbers_of(data_set, labels):
    values = [data_set.metrics.get(metric) for metric in (*_METRICS, *(f"recall_{label}" for label in labels))]
    return ["-" if value is None else f"{value:.2f}" for value in values]


_METRICS = ("specificity", "sensitivity_strict_class", "score_strict_class", "score_any_abnormal")


def _caption_lines(results):
    """Yield how each epoch was selected, after a warning where the sounds are synthetic."""
    if trained_on_synthetic(results.as_dict()):
        yield f"{TRAINED_ON_SYNTHETIC}."
    for rule, text in results.protocol.selection.items():
        yield f"{rule}: {text}"
    epoch = results.selected["valid"].epoch
    stats = next((entry["valid"] for entry in results.history if entry["epoch"] == epoch), {})
    for name, found in stats.get("data_sets", {}).items():
        values = {"Sp": found["specificity"], "Se": found["sensitivity"], "Score": found["score"]}
        text = ", ".join(f"{key} {'-' if value is None else f'{value:.2f}'}" for key, value in values.items())
        yield f"validation cycles of {printable(name)}, epoch {epoch}: {text}"


def _as_text(table, results):
    text = io.StringIO()
    console = Console(file=text, width=TEXT_WIDTH)
    console.print(table)
    for key in ("commit", "data_folder", "pretrained", "seconds", "peak_memory_megabytes"):
        console.print(f"{key}: {printable(str(getattr(results, key)))}", highlight=False, markup=False)
    return text.getvalue()
