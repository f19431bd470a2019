"""How a report over seeds looks, as HTML and as Markdown."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lung_srad_plugin.evaluation.page import shared_context, sound_context
from lung_srad_plugin.evaluation.worst_cycles import CycleSound
from lung_srad_plugin.reporting.charts import seed_strip
from lung_srad_plugin.reporting.pages import render

STEP = 10  # the scale of the dots begins and ends at multiples of it


def render_seeds_html(report: dict[str, Any], sounds: Mapping[str, CycleSound] | None = None) -> str:
    """Return a report over seeds as one HTML page that needs nothing but itself.

    Arguments
    ---------
    report : dict
        As of ``build_seeds_report``.
    sounds : mapping, optional
        As of ``render_html``.

    Returns
    -------
    str
    """
    from markupsafe import Markup

    of_rules = [selection["measures"]["score_strict_class"] for selection in report["selections"]]
    low, high = scale_of([value for score in of_rules for value in score["values"].values()])

    def strip(summary):
        return Markup(seed_strip(list(summary["values"].values()), summary["mean"], low, high))

    return render(
        "seeds.html.jinja", {**_context(report), **sound_context(sounds), "strip": strip, "scale": (low, high)}
    )


def render_seeds_markdown(report: dict[str, Any]) -> str:
    """Return a report over seeds as Markdown; arguments as of ``render_seeds_html``."""
    return render("seeds.md.jinja", _context(report))


def scale_of(values: Sequence[float | None]) -> tuple[int, int]:
    """Return the ends of a scale in percent that holds all values with some room.

    Example
    -------
    >>> scale_of([47.2, 61.0]), scale_of([50.0]), scale_of([None])
    ((40, 70), (40, 60), (0, 100))
    """
    known = [value for value in values if value is not None]
    if not known:
        return 0, 100
    low, high = math.floor((min(known) - 1) / STEP) * STEP, math.ceil((max(known) + 1) / STEP) * STEP
    return max(0, low), min(100, high)


def _context(report):
    return shared_context(report, report["selections"][0]["measures"])
