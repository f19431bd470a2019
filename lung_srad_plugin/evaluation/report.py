"""Everything a report tells, as one dict ready for JSON; how it looks is decided in ``render.py``."""

from dataclasses import asdict

from lung_srad_plugin.evaluation.cautions import data_cautions, not_comparable, one_answer_cautions
from lung_srad_plugin.evaluation.summary import GROUPED_BY, evaluate_predictions, plain
from lung_srad_plugin.metrics.calibration import quality, scale_table
from lung_srad_plugin.metrics.comparison import paired_difference
from lung_srad_plugin.metrics.curves import pr_curve, roc_curve
from lung_srad_plugin.metrics.metrics import MEASURES, findings, measure_classes, measure_with_intervals
from lung_srad_plugin.metrics.operating_points import apply_operating_points
from lung_srad_plugin.metrics.predictions import align
from lung_srad_plugin.metrics.probabilistic import reliability_bins
from lung_srad_plugin.utils.provenance import package_versions, source_commit

# Columns that split the cycles into groups where they are there and not blank.
GROUPS = (*GROUPED_BY, "mode", "filter", "original_label", "fold")

# What a reader must know of a column.
GROUP_NOTES = {
    "device": (
        "The device is the one that the manifest names. In ICBHI it comes from the file names, which are not reliable "
        "there: the authors of the data corrected 91 of them, copies of the data disagree, and of 127 recordings named "
        "Meditron a public re-analysis of the audio found only 36 to be so. Read ICBHI's devices as names."
    ),
    "diagnosis": (
        "Diagnoses, devices and sites go together in small data sets: a difference has more than one possible cause."
    ),
    "duration": "Length of the cycle. Short ones are repeated before the model hears them, long ones are cut.",
}


def build_report(source, resamples=10_000, confidence=95.0, seed=0, harmonic=False, against=None):
    """Evaluate predictions and say what must be known to read the numbers.

    Arguments
    ---------
    source : Source
    resamples, confidence, seed
        As in ``bootstrap``.
    harmonic : bool
        As in ``measure``.
    against : dict, optional
        By name, the ``PredictionTable`` of other models on the same cycles, for paired differences.

    Returns
    -------
    dict
        Ready for ``json.dumps``.

    Raises
    ------
    LungSRADError
        Where the predictions have no patients, or those of another model are of other cycles.
    """
    main = source.selections[0]
    how = {"resamples": resamples, "confidence": confidence, "seed": seed}
    columns = [name for name in GROUPS if any(value.strip() for value in main.table.metadata.get(name, ()))]
    report = {
        "title": source.name,
        "data": source.data,
        "evaluation": evaluate_predictions(main.table, **how, harmonic=harmonic, group_by=columns),
        "group_notes": {name: note for name, note in GROUP_NOTES.items() if name in columns},
        "groups_missing": [name for name in GROUPED_BY if name not in columns],
        "selections": [_selection(selection, main, how, harmonic) for selection in source.selections],
        "paired": _paired(source, against or {}, how),
        "curves": _curves(main.table),
        "calibration": _calibration(main),
        "uncalibrated": main.fit.calibration.reason,
        "operating_points": _operating_points(main, how),
        "definitions": {name: asdict(told) for name, told in MEASURES.items()},
        "protocol": source.protocol,
        "of_training": source.of_training,
        "labels_map": source.labels_map,
        "left_out": source.left_out,
        "facts": {**source.facts, "evaluated with": package_versions(), "evaluated at commit": source_commit()},
    }
    evaluation = report["evaluation"]
    report["cautions"] = [
        *source.cautions,
        *one_answer_cautions("The model", evaluation["labels"], evaluation["confusion"]),
        *data_cautions(source, evaluation["patients"], evaluation["support"]),
    ]
    report["not_comparable"] = not_comparable(source, several_seeds=False)
    return plain(report)


def _selection(selection, main, how, harmonic):
    """One row of the table of selections; it is scored on all cycles, without groups."""
    told = {key: getattr(selection, key) for key in ("rule", "text", "epoch", "optimistic")}
    if selection is main:
        return {**told, "measures": None}  # those of the evaluation
    return {**told, "measures": measure_with_intervals(selection.table, **how, harmonic=harmonic)}


def _paired(source, against, how):
    main = source.selections[0]
    others = {f"{selection.rule}-selected": selection.table for selection in source.selections[1:]} | against
    rows = {}
    for name, table in others.items():
        differences = paired_difference([main.table], [table], **how, measures=measure_classes)
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


def _operating_points(main, how):
    if not main.fit.operating_points:
        return None
    return apply_operating_points(main.fit.operating_points, main.table, **how)
