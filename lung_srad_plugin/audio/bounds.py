"""The bounds of a cycle: where in a recording it may lie."""

from pathlib import Path

from lung_srad_plugin.errors import LungSRADError

# Seconds that a cycle may reach past the end of its audio. Times are in whole milliseconds and the slowest recordings
# have 4,000 samples a second, so rounding moves an end by less than one millisecond. The 920 annotations were drawn
# within the audio: hundreds of them belong to recordings of 20 s and stop at up to 19.997 s, none between 20.000 and
# 20.079 s, and those of patient 104 stop with the last sample. More than this points to a cut or exchanged file.
END_TOLERANCE = 0.05


def check_bounds(start: float | None, stop: float | None, length: float, name: str | Path) -> None:
    """Refuse a cycle that does not lie within its recording.

    Arguments
    ---------
    start, stop : float or None
        In seconds; None means the start and the end of the recording.
    length : float
        Of the recording, in seconds. A ``stop`` up to ``END_TOLERANCE`` later is accepted and means the end.
    name : str or Path
        What error messages call the recording.

    Raises
    ------
    LungSRADError
        Where the times are not in order, or lie beyond the recording.

    Example
    -------
    >>> check_bounds(0.5, 2.0, length=1.0, name="breath.wav")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: breath.wav: the cycle from 0.5 to 2 s lies beyond the audio, ...
    """
    begin = 0.0 if start is None else start
    end = length if stop is None else stop
    if not 0 <= begin < end:
        raise LungSRADError(f"{name}: the cycle from {begin:g} to {end:g} s has no length; expected 0 <= start < stop")
    if end > length + END_TOLERANCE or begin >= length:
        raise LungSRADError(
            f"{name}: the cycle from {begin:g} to {end:g} s lies beyond the audio, which ends at {length:.3f} s"
        )
