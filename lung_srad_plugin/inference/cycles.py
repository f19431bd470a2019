"""The cycles that somebody asks for, as spans of samples."""

import os
from collections.abc import Iterable

from lung_srad_plugin.annotations.files import read_annotations
from lung_srad_plugin.audio.bounds import check_bounds
from lung_srad_plugin.audio.quality import MIN_SECONDS
from lung_srad_plugin.errors import LungSRADError


def read_cycles(cycles):
    """Return (start, end) in seconds of each cycle, sorted by start.

    Arguments
    ---------
    cycles : str, Path or iterable of (float, float)
        An annotation in any format of ``read_annotations``, whose labels are not looked at, or the times themselves in
        seconds.

    Returns
    -------
    list of (float, float)

    Raises
    ------
    LungSRADError
        Where the annotation is absent or wrong, or a cycle is not a pair of numbers.

    Example
    -------
    >>> read_cycles([(2, 4.5), (0, 2)])
    [(0.0, 2.0), (2.0, 4.5)]
    """
    if isinstance(cycles, (str, os.PathLike)):
        times = sorted((event.start_s, event.end_s) for event in read_annotations(cycles))
        if not times:
            raise LungSRADError(f"{cycles}: no cycles; expected at least one annotated event")
        return times
    if not isinstance(cycles, Iterable):
        raise LungSRADError(f"cycles={cycles!r}; expected an annotation file, pairs (start, end), or None for windows")
    pairs = []
    for cycle in cycles:
        try:
            start, end = cycle
            pairs.append((float(start), float(end)))
        except (TypeError, ValueError):
            raise LungSRADError(f"cycle {cycle!r}: expected a pair (start, end) in seconds") from None
    if not pairs:
        raise LungSRADError("the list of cycles is empty; expected pairs (start, end), or None for windows")
    return sorted(pairs)


def cycle_spans(cycles, samples, sample_rate, window, name):
    """Return (begin, end) in samples of each cycle, as ``cut_cycle`` cuts it.

    Arguments
    ---------
    cycles : list of (float, float)
        In seconds.
    samples : int
        Length of the recording.
    sample_rate : int
        In Hz.
    window : int
        Length of the model's input in samples. What lies beyond it in a cycle is not read: it would be cut off.
    name : str or Path
        What messages call the recording.

    Returns
    -------
    list of (int, int)

    Raises
    ------
    LungSRADError
        Where a cycle is too short or not within the recording.

    Example
    -------
    >>> cycle_spans([(0.5, 2.0), (2.0, 30.0)], 480000, 16000, 128000, "a.wav")
    [(8000, 32000), (32000, 160001)]
    """
    length = samples / sample_rate
    spans = []
    for start, end in cycles:
        check_bounds(start, end, length, name)
        # Times have three decimals; a cycle of 0.200 s may be 0.19999999 s in floating point.
        if min(end, length) - start < MIN_SECONDS - 1e-6:
            raise LungSRADError(
                f"{name}: the cycle from {start:g} to {end:g} s is shorter than {MIN_SECONDS} s, the shortest that a "
                "model has learned from"
            )
        begin = int(start * sample_rate)
        # One sample more than the window tells `shape_cycle` that the cycle is longer.
        spans.append((begin, min(int(end * sample_rate), samples, begin + window + 1)))
    return spans
