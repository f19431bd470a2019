"""Whether a recording is within the limits of a service, from its size and its header."""

import os
from pathlib import Path

from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.serving.limits import MEGABYTE, SAMPLES_PER_SECOND, ServingLimits
from lung_srad_plugin.serving.refusals import NoRecording, TooLarge, TooLong


def check_recording(path: str | os.PathLike, name: str, limits: ServingLimits) -> None:
    """Refuse a recording that is empty, too large or too long.

    Arguments
    ---------
    path : str or Path
        Where it lies.
    name : str
        What the client calls it.
    limits : ServingLimits

    Raises
    ------
    Refusal
        With the file, the limit and the cure.
    LungSRADError
        Where it cannot be read as audio.
    """
    size = Path(path).stat().st_size
    if size == 0:
        raise NoRecording(f"{name}: the file is empty; send a recording")
    check_size(size, name, limits)
    with audio_source(Path(path), name=name).open_audio() as file:
        duration, samples = file.frames / file.samplerate, file.frames * file.channels
    cure = "cut it, or classify it with the command lung-srad classify, which has no limit"
    if duration > limits.seconds:
        raise TooLong(f"{name}: lasts {duration:.1f} s; this service takes at most {limits.seconds:g} s: {cure}")
    most = int(limits.seconds * SAMPLES_PER_SECOND)
    if samples > most:
        raise TooLong(f"{name}: holds {samples:,} samples; this service takes at most {most:,}: {cure}")


def check_size(size: int, name: str, limits: ServingLimits) -> None:
    """Refuse more bytes than an upload may have.

    Raises
    ------
    TooLarge
    """
    if size > limits.bytes:
        raise TooLarge(
            f"{name}: more than {limits.bytes / MEGABYTE:g} MB, the limit of this service; send a shorter recording, "
            "or a compressed one such as FLAC"
        )
