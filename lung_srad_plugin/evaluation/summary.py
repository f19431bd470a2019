"""All metrics of one table of predictions, as one dict ready for JSON."""

import math
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.icbhi_score import confusion_counts
from lung_srad_plugin.metrics.predictions import PredictionTable
from lung_srad_plugin.metrics.probabilistic import reliability_bins
from lung_srad_plugin.metrics.subgroups import subgroups
from lung_srad_plugin.metrics.table_metrics import metrics_with_intervals

GROUPED_BY = ("device", "location", "age", "sex", "diagnosis", "duration")


def evaluate_predictions(
    table: PredictionTable,
    bootstrap: Bootstrap | None = None,
    harmonic: bool = False,
    group_by: Sequence[str] = GROUPED_BY,
) -> dict[str, Any]:
    """Evaluate a table of predictions: overall, by group of cycles, and how its confidence relates to its accuracy.

    Arguments
    ---------
    table : PredictionTable
        With a ``patient`` column and those of ``group_by``.
    bootstrap : Bootstrap, optional
        How the intervals are made.
    harmonic : bool
        As in ``compute_metrics``.
    group_by : sequence of str
        Columns to split the cycles by; ``()`` for none.

    Returns
    -------
    dict
        ``cycles``, ``patients``, ``labels``, ``support`` (cycles by class), ``confusion`` (rows the target),
        ``bootstrap`` (how the intervals were made), ``measures`` (by name: ``value``, ``low``, ``high``,
        ``undefined``), ``groups`` (by column, a list) and ``reliability`` (a list of bins). Ready for ``json.dumps``:
        undefined numbers are None.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> metadata = {"patient": "123"}
    >>> table = make_table("abc", ["no", "yes", "no"], [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]], ("no", "yes"), metadata)
    >>> result = evaluate_predictions(table, Bootstrap(100), group_by=())
    >>> result["support"], result["measures"]["specificity"]["value"]
    ({'no': 2, 'yes': 1}, 50.0)
    """
    bootstrap = bootstrap or Bootstrap()
    confusion = confusion_counts(table.targets, table.predicted, len(table.labels))
    return plain(
        {
            "cycles": len(table),
            "patients": len(set(table.patients())),
            "labels": list(table.labels),
            "support": dict(zip(table.labels, confusion.sum(1).tolist(), strict=True)),
            "confusion": confusion.tolist(),
            "bootstrap": bootstrap.describe(),
            "measures": metrics_with_intervals(table, bootstrap, harmonic),
            "groups": {by: [_describe_group(group) for group in subgroups(table, by, bootstrap)] for by in group_by},
            "reliability": reliability_bins(table.targets, table.probabilities),
        }
    )


def _describe_group(group):
    """Return a group as reports hold it, where its metrics have been called measures from the first version on."""
    return {
        "name": group.name,
        "cycles": group.cycles,
        "patients": group.patients,
        "support": group.support,
        "measures": group.metrics,
    }


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: dataclasses as dicts, and numbers that are not finite as None.

    Example
    -------
    >>> plain({"recall": (0.5, math.nan)})
    {'recall': [0.5, None]}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
