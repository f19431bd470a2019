"""An ablation as one HTML page: every row with its seeds, its difference from the reference, and what was published."""

import math
from typing import Any

from lung_srad_plugin.ablation.report import header_and_cells
from lung_srad_plugin.evaluation.page_seeds import scale_of
from lung_srad_plugin.reporting.charts import seed_strip, whisker
from lung_srad_plugin.reporting.pages import render

STEP = 5  # the scale of the differences ends at a multiple of it


def render_ablation(table: dict[str, Any]) -> str:
    """Return the page of an ablation, self-contained.

    Arguments
    ---------
    table : dict
        As of ``ablation_table``.

    Returns
    -------
    str
    """
    from markupsafe import Markup

    scores = [row["measured"][rule]["Score"] for row in table["rows"] for rule in row["measured"]]
    low, high = scale_of([value for score in scores for value in score["values"].values()])
    differences = [
        row["difference"][rule]["Score"]
        for row in table["rows"]
        for rule in table["selection"]
        if row["difference"].get(rule)
    ]
    widest = _widest(differences)

    def strip(row, rule):
        score = row["measured"].get(rule, {}).get("Score")
        return "" if score is None else Markup(seed_strip(list(score["values"].values()), score["mean"], low, high))

    def difference(row, rule):
        found = row["difference"].get(rule)
        return "" if found is None else Markup(whisker(found["Score"], -widest, widest, reference=0))

    return render(
        "ablation.html.jinja",
        {
            "table": table,
            "tables": {rule: header_and_cells(table, rule) for rule in table["selection"]},
            "strip": strip,
            "difference": difference,
            "scale": (low, high),
            "widest": widest,
        },
    )


def _widest(differences):
    """Return the end of a scale around 0 that holds all intervals."""
    ends = [abs(one[end]) for one in differences for end in ("value", "low", "high") if one[end] is not None]
    return STEP * max(1, math.ceil(max(ends, default=0) / STEP))
