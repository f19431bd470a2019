"""The gallery: one page of explained cycles with their maps, sounds and numbers."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from lung_srad_plugin.reporting.pages import render


@dataclass(frozen=True)
class GalleryItem:
    """One explained cycle, as the page and the table show it.

    Arguments
    ---------
    name, recording : str
        The cycle's ID, and its recording.
    start, stop : float
        Seconds of the recording.
    truth : str or None
        Its label in the manifest; None where that is not known.
    predicted : str
    probabilities : dict
        Class name to probability.
    target : str
        What is explained.
    log_odds, log_odds_of_baseline : float
    numbers : dict
        Column to number, as in the table: agreements, falls.
    picture : bytes
        WebP.
    sound : bytes or None
        FLAC.
    """

    name: str
    recording: str
    start: float
    stop: float
    truth: str | None
    predicted: str
    probabilities: dict[str, float]
    target: str
    log_odds: float
    log_odds_of_baseline: float
    numbers: dict[str, float | None]
    picture: bytes
    sound: bytes | None


def summarize_numbers(items: Sequence[GalleryItem]) -> dict[str, dict[str, float | None]]:
    """Return mean, standard deviation and count of each number over the cycles that have it.

    Example
    -------
    >>> def item(value):
    ...     return GalleryItem("a", "a.wav", 0, 1, None, "normal", {}, "normal", 1.0, 0.0, {"fall": value}, b"", None)
    >>> summarize_numbers([item(1.0), item(3.0), item(None)])
    {'fall': {'mean': 2.0, 'sd': 1.4142135623730951, 'cycles': 2}}
    """
    summary: dict[str, dict[str, float | None]] = {}
    for column in items[0].numbers:
        values = [value for item in items if (value := item.numbers[column]) is not None]
        summary[column] = {
            "mean": mean(values) if values else None,
            "sd": stdev(values) if len(values) > 1 else None,
            "cycles": len(values),
        }
    return summary


def render_gallery(items: Sequence[GalleryItem], facts: dict[str, Any], removal_picture: bytes) -> str:
    """Return the gallery as one HTML page that needs nothing but itself: pictures and sounds are in it.

    Arguments
    ---------
    items : sequence of GalleryItem
    facts : dict
        ``model``, ``data``, ``labels``, ``methods`` (name to title), ``pairs`` (the two names of each agreement),
        ``shares`` (of cells removed), ``shown_share`` (the one of them that each cycle shows), ``cell`` and
        ``picture_cell`` (their sizes in words), ``left_out`` (number of cycles),
        ``synthetic`` (whether the model was trained on synthetic sounds).
    removal_picture : bytes
        WebP of the falls by share of the cells removed.

    Returns
    -------
    str
    """
    return render(
        "gallery.html.jinja",
        {
            "items": items,
            "summary": summarize_numbers(items),
            "removal_picture": removal_picture,
            "embed": lambda content: b64encode(content).decode("ascii"),
            "with_truth": any(item.truth is not None for item in items),
            **facts,
        },
    )
