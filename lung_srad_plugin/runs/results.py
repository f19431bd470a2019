"""The results of a run: ``results.json``, a table and pictures, each number with the rule that picked its epoch."""

import json
from pathlib import Path

from rich import box
from rich.table import Table

from lung_srad_plugin.metrics.icbhi_score import confusion_counts, per_class_recall, scores_of_confusion
from lung_srad_plugin.metrics.predictions_file import format_predictions
from lung_srad_plugin.reporting.figures import plot_confusion, plot_history, save_figure

# How the epoch of a row was picked, in words that must stand wherever its numbers do.
RULES = {
    "valid": "epoch with the best 4-class Score on the validation cycles",
    "last": "last epoch",
    "test": "epoch with the best 4-class Score on the test cycles (optimistic: the test set chose it)",
}
VALID_IS_TEST = "the validation cycles are the test cycles, as in the paper: the test set chose this epoch"


def rule_text(rule, valid_is_test):
    """Return in words how ``rule`` picked the epoch, given whether validation and test cycles are the same."""
    return VALID_IS_TEST if rule == "valid" and valid_is_test else RULES[rule]


def score_predictions(predictions, labels):
    """Return all scores of one set of predictions, ready for JSON.

    Arguments
    ---------
    predictions : Predictions
        Of the test cycles.
    labels : list of str
        The class names, the normal class first.

    Returns
    -------
    dict
        ``cycles``, ``4class`` and ``2class`` (each ``specificity``, ``sensitivity``, ``score``), ``recall`` by class
        and ``confusion`` (rows true, columns predicted).
    """
    confusion = confusion_counts(predictions.targets, predictions.classes, len(labels))
    return {
        "cycles": len(predictions.targets),
        "4class": scores_of_confusion(confusion),
        "2class": scores_of_confusion(confusion, task="2class"),
        "recall": per_class_recall(confusion, labels),
        "confusion": confusion.tolist(),
    }


def write_results(results, history, folder):
    """Write ``results.json``, ``results.txt`` and the plots of a run.

    Arguments
    ---------
    results : dict
        With ``labels``, ``protocol`` and ``selected``: by rule, an epoch and its scores as of ``score_predictions``.
    history : list of dict
        ``TrainingState.history``.
    folder : str or Path
        Where to write.

    Returns
    -------
    rich.table.Table
        The table, to be printed.
    """
    folder = Path(folder)
    content = json.dumps({**results, "history": history}, indent=2, ensure_ascii=False)
    (folder / "results.json").write_text(content + "\n", encoding="utf-8")
    for rule, scores in results["selected"].items():
        title = (
            f"test cycles, epoch {scores['epoch']} ({rule}-selected)" if rule != "last" else "test cycles, last epoch"
        )
        save_figure(plot_confusion(scores["confusion"], results["labels"], title), folder / f"confusion_{rule}.png")
    if history:
        save_figure(plot_history(history, results["selected"]["valid"]["epoch"]), folder / "training.png")
    table = results_table(results)
    _write_text(table, results, folder / "results.txt")
    return table


def write_run_predictions(tables, folder):
    """Write what the model said of each cycle, so that it can be evaluated without running the model again.

    Arguments
    ---------
    tables : dict
        By rule, the ``PredictionTable`` of the ``valid`` and of the ``test`` cycles.
    folder : str or Path
        Where to write ``predictions_test_<rule>.csv`` and ``predictions_valid_<rule>.csv``.
    """
    for rule, parts in tables.items():
        for part, table in parts.items():
            # A run owns its folder, also one that the version before began.
            (Path(folder) / predictions_name(part, rule)).write_text(format_predictions(table), encoding="utf-8")


def predictions_name(part, rule):
    """Return the name of the file with the predictions on ``part`` of the epoch that ``rule`` picked.

    Example
    -------
    >>> predictions_name("test", "last")
    'predictions_test_last.csv'
    """
    return f"predictions_{part}_{rule}.csv"


def results_table(results):
    """Return the scores of a run as a rich table, one row for each rule that picked an epoch."""
    protocol = results["protocol"]
    table = Table(
        title=f"{results['experiment']}, {protocol['split']}: test scores in percent, seed {results['seed']}",
        caption="\n".join(f"{rule}: {text}" for rule, text in protocol["selection"].items()),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("picked by")
    for name in ("epoch", "Sp", "Se", "Score", "2-class"):
        table.add_column(name, justify="right")
    for label in results["labels"]:
        table.add_column(f"recall\n{label}", justify="right")
    for rule, scores in results["selected"].items():
        parts = [
            *(scores["4class"][name] for name in ("specificity", "sensitivity", "score")),
            scores["2class"]["score"],
        ]
        recalls = [scores["recall"][label] for label in results["labels"]]
        table.add_row(rule, str(scores["epoch"]), *(f"{value:.2f}" for value in (*parts, *recalls)))
    return table


def _write_text(table, results, path):
    from rich.console import Console

    with open(path, "w", encoding="utf-8") as file:
        console = Console(file=file, width=160)
        console.print(table)
        for key in ("commit", "data_folder", "pretrained", "seconds", "peak_memory_megabytes"):
            console.print(f"{key}: {results[key]}", highlight=False)
