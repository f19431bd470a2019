"""The numbers of an ablation table: over seeds, against the reference row, and beside what was published."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lung_srad_plugin.ablation.execute import Failure
from lung_srad_plugin.ablation.factors import find_factors
from lung_srad_plugin.ablation.grid import FIGURES, Grid
from lung_srad_plugin.ablation.runs import Run
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.cautions import FEW_PATIENTS, patients_in_both
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.comparison import over_seeds, paired_difference
from lung_srad_plugin.metrics.predictions_file import read_predictions
from lung_srad_plugin.metrics.table_metrics import compute_class_metrics
from lung_srad_plugin.runs.experiment import differing_settings
from lung_srad_plugin.runs.named_tests import ONLY, part_of
from lung_srad_plugin.runs.record import RunResults
from lung_srad_plugin.runs.selection import RULES, without_outcome

# The names of the figures in evaluation.
METRIC_OF_FIGURE = {
    "Sp": "specificity",
    "Se": "sensitivity_strict_class",
    "Score": "score_strict_class",
    "2-class": "score_any_abnormal",
}


def ablation_table(
    grid: Grid,
    runs: Sequence[Run],
    failures: Sequence[Failure] = (),
    bootstrap: Bootstrap | None = None,
    test_set: str = ONLY,
) -> dict[str, Any]:
    """Compute the table of a grid from the runs that are finished.

    Arguments
    ---------
    grid : Grid
    runs : list of Run
        All of them, as of ``plan_runs``.
    failures : list of Failure
        Of the latest attempt.
    bootstrap : Bootstrap, optional
        How the intervals of the differences are made.
    test_set : str
        Which, where the runs have several by name.

    Returns
    -------
    dict
        Ready for JSON, undefined numbers None. ``reference``, ``seeds``, ``published_source``, ``selection`` (in words,
        by rule), ``test`` (``cycles``, ``patients``), ``bootstrap``, ``notes`` (what a reader must know), ``rows``,
        ``factors`` (as of ``find_factors``) and ``failures``. Each row has its ``name``, ``experiment``, ``changes``
        (the settings in which it differs from the reference), ``published`` (``mean``, ``sd`` by figure), ``runs`` (by
        seed: the folder, whether it is finished,
        commit and seconds), and by rule ``measured`` (by figure: ``mean``, ``sd``, ``values`` by seed), ``epochs`` by
        seed and ``difference`` from the reference (by figure: ``value``, ``low``, ``high``; None for the reference, and
        where there is no finished run or, as a note then says, the test cycles are not the reference's).

    Raises
    ------
    LungSRADError
        Where the predictions of a finished run are missing or faulty.
    """
    bootstrap = bootstrap or Bootstrap()
    finished: dict[str, dict[int, tuple[Run, RunResults]]] = {row.name: {} for row in grid.rows}
    for run in runs:
        result = run.results() if run.is_finished() else None
        if result is not None:
            finished[run.row][run.seed] = run, result
    results = [result for by_seed in finished.values() for _, result in by_seed.values()]
    rules = [rule for rule in RULES if results and all(rule in result.selected for result in results)]
    tables = {
        rule: {
            name: [read_predictions(run.output.predictions(part_of(test_set), rule)) for run, _ in by_seed.values()]
            for name, by_seed in finished.items()
        }
        for rule in rules
    }
    settings = {run.row: run.settings for run in runs}
    rows, incomparable = [], []
    for row in grid.rows:
        by_seed = finished[row.name]
        difference = dict.fromkeys(rules)
        try:
            for rule in rules if row.name != grid.reference else ():
                reference, own = tables[rule][grid.reference], tables[rule][row.name]
                difference[rule] = _difference(reference, own, bootstrap)
        except LungSRADError as error:
            incomparable.append(f"No difference of {row.name} from {grid.reference}: {error}.")
        rows.append(
            {
                "name": row.name,
                "experiment": str(row.experiment),
                "changes": differing_settings(settings[row.name], settings[grid.reference]),
                "published": {name: {"mean": mean, "sd": sd} for name, (mean, sd) in row.published.items()},
                "runs": {str(run.seed): _describe(run) for run in runs if run.row == row.name},
                "measured": {rule: _over_seeds(by_seed, rule, test_set) for rule in rules if by_seed},
                "epochs": {
                    rule: {str(seed): result.selected[rule].epoch for seed, (_, result) in by_seed.items()}
                    for rule in rules
                },
                "difference": difference,
            }
        )
    any_table = next((found[0] for by_row in tables.values() for found in by_row.values() if found), None)
    test = None if any_table is None else {"cycles": len(any_table), "patients": len(set(any_table.patients()))}
    return {
        "grid": grid.path.name,
        "reference": grid.reference,
        "seeds": list(grid.seeds),
        "published_source": grid.published_source,
        "selection": _selection(results, rules),
        "test": test,
        "bootstrap": bootstrap.describe(),
        "notes": _notes(grid, finished, results, test, test_set) + incomparable,
        "rows": rows,
        "factors": find_factors(rows, grid.reference, settings),
        "failures": [
            {"row": one.run.row, "seed": one.run.seed, "ended": one.ended, "log": one.tail.splitlines()}
            for one in failures
        ],
    }


def _over_seeds(by_seed, rule, test_set):
    measured = {}
    for name, (task, part) in FIGURES.items():
        values = {
            str(seed): getattr(getattr(result.selected[rule].tests[test_set], task), part)
            for seed, (_, result) in by_seed.items()
        }
        summary = over_seeds(values)
        measured[name] = {
            "mean": summary.mean,
            "sd": None if math.isnan(summary.sd) else summary.sd,
            "values": summary.values,
        }
    return measured


def _difference(reference, tables, bootstrap):
    """Return by figure how much a row is above the reference; None where one of them has no finished run."""
    if not reference or not tables:
        return None
    differences = paired_difference(reference, tables, bootstrap, metrics=compute_class_metrics)
    by_figure = {}
    for name, metric in METRIC_OF_FIGURE.items():
        interval = asdict(differences[metric])
        by_figure[name] = {key: None if math.isnan(value) else value for key, value in interval.items()}
    return by_figure


def _describe(run):
    result = run.results() if run.is_finished() else None
    return {
        "folder": str(run.folder),
        "finished": result is not None,
        **({key: getattr(result, key) for key in ("commit", "seconds", "device")} if result else {}),
    }


def _selection(results, rules):
    """Return in words how each rule selected its epochs; refuse runs in which a rule means different things."""
    selection = {}
    for rule in rules:
        texts = sorted({without_outcome(result.protocol.selection[rule]) for result in results})
        selection[rule] = texts[0] if len(texts) == 1 else f"differs from row to row: {'; or '.join(texts)}"
    return selection


def _split(protocol):
    """Return a split in words, with its hash, or with those of the manifests where the split is the user's own."""
    if protocol.split_sha256 is not None:
        return f"{protocol.split}, SHA-256 {protocol.split_sha256}"
    return f"{protocol.split}, SHA-256 " + ", ".join(f"{part} {value}" for part, value in protocol.sha256.items())


def _shared_patients(protocol):
    return "; ".join(
        f"{pair}: {patients}" for pair, patients in patients_in_both(protocol.as_dict()).items() if patients
    )


def _notes(grid, finished, results, test, test_set):
    notes = []
    missing = [f"{name} ({len(by_seed)})" for name, by_seed in finished.items() if len(by_seed) < len(grid.seeds)]
    if missing:
        notes.append(f"Not all of the {len(grid.seeds)} seeds are finished: {', '.join(missing)}.")
    splits = sorted({_split(result.protocol) for result in results})
    if splits:
        notes.append(f"Split: {'; '.join(splits)}." + (" Rows of different splits do not compare." * (len(splits) > 1)))
    shared = sorted({_shared_patients(result.protocol) for result in results} - {""})
    notes += [f"Patients in both {text}. What the models learned of them may help." for text in shared]
    runs = [(name, seed, found[1]) for name, by_seed in finished.items() for seed, found in by_seed.items()]
    common = set.intersection(*(set(result.protocol.notes) for result in results)) if results else set()
    notes += [
        f"{name}, seed {seed}: {note}."
        for name, seed, result in runs
        for note in result.protocol.notes
        if note not in common
    ]
    if test is not None:
        where = "" if test_set == ONLY else f"test set {test_set}, "
        notes.append(f"Tested on {where}{test['cycles']} cycles of {test['patients']} patients.")
        notes.append(
            "± is the standard deviation over seeds. An interval of a difference is a patient-clustered bootstrap of "
            "the mean over these seeds: it tells how far other patients might move it, not other seeds."
        )
        if test["patients"] < FEW_PATIENTS:
            notes.append(f"{test['patients']} patients are too few for the intervals to be trusted.")
    if grid.published_source:
        notes.append(f"Published: {grid.published_source}. Not measured here.")
    commits = {result.commit for result in results}
    if len(commits) > 1:
        notes.append(f"The runs were made with {len(commits)} versions of the code: ablation.json has their commits.")
    return notes
