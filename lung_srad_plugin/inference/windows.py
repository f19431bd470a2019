"""Windows over a long recording: how long they are, where they lie, and how their probabilities are put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from numpy.typing import ArrayLike

from lung_srad_plugin.audio.merging import MERGING, merge_probabilities
from lung_srad_plugin.audio.quality import MIN_SECONDS
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_config import DEFAULT_HOP, MIN_HOP, StoredTimeline
from lung_srad_plugin.inference.result import Segment, make_segment


@dataclass(frozen=True)
class WindowRule:
    """How a long recording becomes a timeline, and which events are read from it.

    Arguments
    ---------
    window : float
        Length of a window in seconds, at most the model's duration; a shorter one is repeated to it, as short cycles
        are in training.
    hop : float
        Seconds between the starts of two windows.
    merging : str
        What overlapping windows give together: ``"mean"``, ``"max"``, ``"median"`` or ``"nearest"``, see
        ``audio.merging``.
    thresholds : dict
        By finding, the probability from which the timeline has an event of it; empty where none was chosen.
    min_duration : float
        The shortest event in seconds.
    """

    window: float
    hop: float
    merging: str = "mean"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    min_duration: float = 0.0


def select_rule(
    recommended: StoredTimeline | None,
    duration: float,
    window: float | None = None,
    hop: float | None = None,
    merging: str | None = None,
) -> WindowRule:
    """Return the rule for a recording: what the user says, else what the model recommends, else the general default.

    The general default are windows of the model's duration every 4 s and the mean of their probabilities. A default
    hop that exceeds the window becomes half of the window.

    Arguments
    ---------
    recommended : StoredTimeline or None
        Of the model's folder.
    duration : float
        The model's, in seconds.
    window, hop, merging
        What the user says, if anything. Thresholds were chosen for one rule: they stay only where nothing of it is
        changed.

    Raises
    ------
    LungSRADError
        Where the window is not between 0.2 s and the model's duration, or the hop or the merging is wrong.

    Example
    -------
    >>> select_rule(None, 8.0)
    WindowRule(window=8.0, hop=4.0, merging='mean', thresholds={}, min_duration=0.0)
    >>> stored = StoredTimeline(window=2.0, hop=0.5, merging="median", thresholds={"crackle": 0.4})
    >>> select_rule(stored, 4.0).thresholds, select_rule(stored, 4.0, hop=1.0).thresholds
    ({'crackle': 0.4}, {})
    """
    default = WindowRule(duration, DEFAULT_HOP)
    if recommended is not None:
        default = WindowRule(
            recommended.window,
            recommended.hop,
            recommended.merging,
            {str(finding): threshold for finding, threshold in recommended.thresholds.items()},
            recommended.min_duration,
        )
    window = check_window(default.window if window is None else window, duration)
    if hop is None:
        hop = default.hop if default.hop <= window else window / 2
    if merging is None:
        merging = default.merging
    elif merging not in MERGING:
        raise LungSRADError(f"merging={merging!r}; expected one of {', '.join(MERGING)}")
    rule = WindowRule(window, check_hop(hop, window), merging)
    if (rule.window, rule.hop, rule.merging) == (default.window, default.hop, default.merging):
        return default
    return rule


def check_window(window: float, duration: float) -> float:
    """Return the length of a window in seconds.

    Arguments
    ---------
    window : float
    duration : float
        The model's, which a window must not exceed.

    Raises
    ------
    LungSRADError
        Where it is no number, or out of range.

    Example
    -------
    >>> check_window(2, duration=8.0)
    2.0
    """
    number = isinstance(window, (int, float)) and not isinstance(window, bool)
    if not number or not MIN_SECONDS <= window <= duration:
        raise LungSRADError(
            f"window={window!r}; expected seconds, at least {MIN_SECONDS:g} and at most {duration:g}, the model's "
            "input length"
        )
    return float(window)


def check_hop(hop: float, window: float) -> float:
    """Return the seconds between the starts of two windows.

    Raises
    ------
    LungSRADError
        Where it is no number, below ``MIN_HOP``, or leaves gaps between windows.

    Example
    -------
    >>> check_hop(4, window=8.0)
    4.0
    """
    if isinstance(hop, bool) or not isinstance(hop, (int, float)) or not MIN_HOP <= hop <= window:
        raise LungSRADError(
            f"hop={hop!r}; expected seconds, at least {MIN_HOP:g} and at most {window:g}, the length of a window, or "
            "parts of the recording would not be processed"
        )
    return float(hop)


def place_windows(samples, window, hop):
    """Return (begin, end) of each window, in samples.

    Windows start at 0, hop, 2 hop, ...; a last one ends with the recording, so that nothing is left out. A recording
    that is not longer than a window is one window.

    Arguments
    ---------
    samples : int
        Length of the recording.
    window, hop : int
        Length of a window, and the distance between the starts of two; ``hop`` is at most ``window``.

    Returns
    -------
    list of (int, int)

    Example
    -------
    >>> place_windows(21, window=8, hop=4)
    [(0, 8), (4, 12), (8, 16), (12, 20), (13, 21)]
    >>> place_windows(5, window=8, hop=4)
    [(0, 5)]
    """
    if samples <= window:
        return [(0, samples)]
    begins = list(range(0, samples - window + 1, hop))
    if begins[-1] + window < samples:
        begins.append(samples - window)
    return [(begin, begin + window) for begin in begins]


def merge_windows(
    windows: Sequence[tuple[int, int]],
    probabilities: ArrayLike,
    sample_rate: int,
    labels: Sequence[str],
    merging: str = "mean",
) -> list[Segment]:
    """Return the timeline: a segment for each stretch between two edges of windows.

    Arguments
    ---------
    windows : list of (int, int)
        In samples, as ``place_windows`` gives them. Where no window lies, for instance because there was silence, the
        timeline has a gap.
    probabilities : array (windows, C)
        Of each window.
    sample_rate : int
        In Hz.
    labels : sequence of str
        The C class names.
    merging : str
        As in ``WindowRule``.

    Returns
    -------
    list of Segment

    Example
    -------
    >>> segments = merge_windows([(0, 8), (4, 12)], [[1.0, 0.0], [0.5, 0.5]], 1, ("normal", "abnormal"))
    >>> [(segment.start, segment.end, segment.abnormal) for segment in segments]
    [(0.0, 4.0, 0.0), (4.0, 8.0, 0.25), (8.0, 12.0, 0.5)]
    """
    stretches, merged = merge_probabilities(windows, probabilities, merging)
    return [
        make_segment(begin / sample_rate, end / sample_rate, labels, row)
        for (begin, end), row in zip(stretches.tolist(), merged.tolist(), strict=True)
    ]
