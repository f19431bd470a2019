"""Windows over a long recording, and how their probabilities become one timeline."""

from itertools import pairwise

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.result import make_segment

MIN_HOP = 0.01  # seconds, the shift between two frames of the features: a smaller one gives no finer timeline


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


def merge_windows(windows, probabilities, sample_rate, labels):
    """Return the timeline: for each stretch between two edges of windows, the mean of all windows that cover it.

    Arguments
    ---------
    windows : list of (int, int)
        In samples, sorted. Where no window lies, for instance because there was silence, the timeline has a gap.
    probabilities : array (windows, C)
        Of each window.
    sample_rate : int
        In Hz.
    labels : sequence of str
        The C class names.

    Returns
    -------
    list of Segment

    Example
    -------
    >>> segments = merge_windows([(0, 8), (4, 12)], [[1.0, 0.0], [0.5, 0.5]], 1, ("normal", "abnormal"))
    >>> [(segment.start, segment.end, segment.abnormal) for segment in segments]
    [(0.0, 4.0, 0.0), (4.0, 8.0, 0.25), (8.0, 12.0, 0.5)]
    """
    edges = sorted({edge for window in windows for edge in window})
    segments, first = [], 0
    for begin, end in pairwise(edges):
        while windows[first][1] <= begin:
            first += 1
        covering, index = [], first
        while index < len(windows) and windows[index][0] < end:
            if windows[index][1] >= end:
                covering.append(probabilities[index])
            index += 1
        if covering:
            mean = [sum(column) / len(covering) for column in zip(*covering, strict=True)]
            segments.append(make_segment(begin / sample_rate, end / sample_rate, labels, mean))
    return segments
