"""Everything that a report says, as one dict ready for JSON; ``page.py`` decides how it looks."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lung_srad_plugin.datasets.icbhi.recording_name import LOCATIONS, MODES
from lung_srad_plugin.evaluation.cautions import data_cautions, not_comparable, one_answer_cautions, synthetic_cautions
from lung_srad_plugin.evaluation.sources import Selection, Source
from lung_srad_plugin.evaluation.summary import GROUPED_BY, evaluate_predictions, plain
from lung_srad_plugin.evaluation.worst_cycles import describe_worst
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.calibration import quality, scale_table
from lung_srad_plugin.metrics.comparison import paired_difference
from lung_srad_plugin.metrics.curves import pr_curve, roc_curve
from lung_srad_plugin.metrics.findings import findings
from lung_srad_plugin.metrics.operating_points import apply_operating_points
from lung_srad_plugin.metrics.predictions import PredictionTable, align
from lung_srad_plugin.metrics.probabilistic import reliability_bins
from lung_srad_plugin.metrics.table_metrics import compute_class_metrics, describe_metrics, metrics_with_intervals
from lung_srad_plugin.utils.provenance import package_versions, source_commit

# Columns that split the cycles into groups where they are there and not blank.
GROUPS = ("dataset", *GROUPED_BY, "mode", "filter", "original_label", "fold")

# Columns that say something of patients, and nothing where these are invented.
OF_PATIENTS = ("age", "sex", "diagnosis")

# What a reader must know of a column.
GROUP_NOTES = {
    "device": (
        "The device is the one that the manifest names. In ICBHI it comes from the file names, which are not reliable: "
        "the authors of the data published corrected names, and copies of the data disagree. Read ICBHI's devices as "
        "names."
    ),
    "diagnosis": (
        "Diagnoses, devices and sites go together in small data sets: a difference has more than one possible cause."
    ),
    "duration": "Length of the cycle. Short ones are repeated to the model's input length, long ones are cut to it.",
}

# What the abbreviations in a column stand for.
ABBREVIATIONS = {"location": LOCATIONS, "mode": MODES}


def build_report(
    source: Source,
    bootstrap: Bootstrap | None = None,
    harmonic: bool = False,
    against: Mapping[str, PredictionTable] | None = None,
    worst_cycles: int = 0,
) -> dict[str, Any]:
    """Evaluate predictions and say what must be known to read the numbers.

    Arguments
    ---------
    source : Source
    bootstrap : Bootstrap, optional
        How the intervals are made.
    harmonic : bool
        As in ``compute_metrics``.
    against : dict, optional
        By name, the ``PredictionTable`` of other models on the same cycles, for paired differences.
    worst_cycles : int
        How many of the most confident wrong answers are in it.

    Returns
    -------
    dict
        Ready for ``json.dumps``.

    Raises
    ------
    LungSRADError
        Where the predictions have no patients, or those of another model are of other cycles.
    """
    main, bootstrap = source.selections[0], bootstrap or Bootstrap()
    columns = group_columns(source)
    notes = {} if source.synthetic else GROUP_NOTES
    report = {
        "title": source.name,
        "data": source.data,
        "synthetic": {"training": source.trained_on_synthetic, "evaluated": source.synthetic},
        "evaluation": evaluate_predictions(main.table, bootstrap, harmonic, columns),
        "group_notes": {name: note for name, note in notes.items() if name in columns},
        "abbreviations": {name: _explain(main.table, name) for name in columns if name in ABBREVIATIONS},
        "groups_missing": [
            name for name in GROUPED_BY if name not in columns and not (source.synthetic and name in OF_PATIENTS)
        ],
        "selections": [_selection(selection, main, bootstrap, harmonic) for selection in source.selections],
        "paired": _paired(source, against or {}, bootstrap),
        "curves": _curves(main.table),
        "calibration": _calibration(main),
        "uncalibrated": main.fit.calibration.reason,
        "operating_points": _operating_points(main, bootstrap),
        "definitions": {name: asdict(metric) for name, metric in describe_metrics(main.table.labels, harmonic).items()},
        "protocol": source.protocol,
        "of_training": source.of_training,
        "labels_map": source.labels_map,
        "left_out": source.left_out,
        "facts": {**source.facts, "evaluated with": package_versions(), "evaluated at commit": source_commit()},
    }
    if worst_cycles:
        report["worst_cycles"] = describe_worst(main.table, worst_cycles, source.stretches, source.without_sound)
    evaluation = report["evaluation"]
    report["cautions"] = [
        *synthetic_cautions(source),
        *source.cautions,
        *one_answer_cautions("The model", evaluation["labels"], evaluation["confusion"]),
        *data_cautions(source, evaluation["patients"], evaluation["support"]),
    ]
    report["not_comparable"] = not_comparable(source, several_seeds=False)
    return plain(report)


def group_columns(source: Source) -> list[str]:
    """Return the columns that split the cycles into groups: those that are there, not blank, and not invented.

    The data set is among them where there are several.
    """
    metadata = source.selections[0].table.metadata
    return [
        name
        for name in GROUPS
        if any(value.strip() for value in metadata.get(name, ()))
        and not (source.synthetic and name in OF_PATIENTS)
        and not (name == "dataset" and len(set(metadata[name])) < 2)
    ]


def resampled_patients(source: Source, against: Mapping[str, PredictionTable]) -> int:
    """Return how many patients are resampled for a report, counted once for each interval they are resampled for.

    The time that a report takes goes with it, and with the number of resamples.
    """
    main = source.selections[0]
    patients = main.table.patients()
    of_groups = sum(len(set(zip(main.table.column(name), patients, strict=True))) for name in group_columns(source))
    compared = len(source.selections) - 1 + len(against)
    whole = 1 + len(source.selections) - 1 + compared + len(main.fit.operating_points)
    return whole * len(set(patients)) + of_groups


def _explain(table, column):
    """Return what the abbreviations among a column's values stand for."""
    known = ABBREVIATIONS[column]
    return {value: known[value] for value in sorted(set(table.column(column))) if value in known}


def _selection(selection: Selection, main: Selection, bootstrap, harmonic):
    """One row of the table of selections; it is scored on all cycles, without groups."""
    row = {key: getattr(selection, key) for key in ("rule", "text", "epoch", "optimistic")}
    if selection is main:
        return {**row, "measures": None}  # those of the evaluation
    return {**row, "measures": metrics_with_intervals(selection.table, bootstrap, harmonic)}


def _paired(source, against, bootstrap):
    main = source.selections[0]
    others = {f"{selection.rule}-selected": selection.table for selection in source.selections[1:]} | against
    rows = {}
    for name, table in others.items():
        differences = paired_difference([main.table], [table], bootstrap, metrics=compute_class_metrics)
        same = bool((align(main.table, table).predicted == main.table.predicted).all())
        rows[name] = {"same_answers": same, "differences": differences}
    return rows


def _curves(table):
    return {
        finding: {
            "positive": int(positive.sum()),
            "cycles": len(positive),
            "roc": roc_curve(positive, scores),
            "pr": pr_curve(positive, scores),
        }
        for finding, (positive, scores) in findings(table).items()
    }


def _calibration(main):
    if main.fit.calibration.temperature is None:
        return None
    scaled = scale_table(main.table, main.fit.calibration.temperature)
    return {
        **asdict(main.fit.calibration),
        "here": {"before": quality(main.table), "after": quality(scaled)},
        "reliability": {
            "before": reliability_bins(main.table.targets, main.table.probabilities),
            "after": reliability_bins(scaled.targets, scaled.probabilities),
        },
    }


def _operating_points(main, bootstrap):
    if not main.fit.operating_points:
        return None
    return apply_operating_points(main.fit.operating_points, main.table, bootstrap)
