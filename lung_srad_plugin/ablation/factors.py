"""Which rows of a table vary one factor alone, as the paper's Figure 3 does: temperature, kernel, sigma, blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

FACTORS = {
    "temperature": ("temperature",),
    "Gaussian kernel": ("gaussian_kernel",),
    "Gaussian sigma": ("gaussian_sigma",),
    "smoothed blocks": ("gaussian_stage", "gaussian_blocks"),
}
"""Names of factors, and the settings that make each of them."""


def find_factors(rows: Sequence[Mapping[str, Any]], reference: str, settings: Mapping[str, Mapping[str, Any]]):
    """Return for each factor the rows that differ from the reference in it alone, the reference among them.

    Arguments
    ---------
    rows : sequence of dict
        Rows of an ablation table, with ``name`` and ``changes``.
    reference : str
        The reference row.
    settings : dict
        Name of a row to the settings of its experiment.

    Returns
    -------
    dict
        By name of the factor, a list of ``{"row": ..., "value": ...}`` in the order of the values; factors that no row
        varies are left out. Blocks are a text, such as ``"stage 2: 2, 3"``, or ``"none"``.

    Example
    -------
    >>> settings = {"full": {"temperature": 0.2, "lr": 1}, "cold": {"temperature": 0.06, "lr": 1}}
    >>> rows = [{"name": "full", "changes": {}}, {"name": "cold", "changes": {"temperature": 0.06}}]
    >>> find_factors(rows, "full", settings)
    {'temperature': [{'row': 'cold', 'value': 0.06}, {'row': 'full', 'value': 0.2}]}
    """
    found = {}
    for factor, keys in FACTORS.items():
        if not all(key in settings[reference] for key in keys):
            continue
        varied = [
            row["name"]
            for row in rows
            if row["name"] == reference or (row["changes"] and set(row["changes"]) <= set(keys))
        ]
        if len(varied) < 2:
            continue
        points = [{"row": name, "value": _value([settings[name][key] for key in keys])} for name in varied]
        numbers = all(isinstance(point["value"], int | float) for point in points)
        found[factor] = sorted(points, key=lambda point: point["value"]) if numbers else points
    return found


def _value(values):
    if len(values) == 1:
        return values[0]
    stage, blocks = values
    return f"stage {stage}: {', '.join(map(str, blocks))}" if blocks else "none"
