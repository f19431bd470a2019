"""Clips of recordings: cut out sample by sample as they were recorded, or made as loud as they can be, to listen to."""

import io

import numpy as np
import soundfile

from lung_srad_plugin.audio.bounds import check_bounds
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.audio.source import AudioSource
from lung_srad_plugin.errors import LungSRADError

FORMATS = ("wav", "flac")
HEARD_RATE = 16000  # Hz: browsers play every recording at it, also those of 4 kHz
LOUDEST = 0.9  # of full scale
_LONG_SAMPLES = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")


def cut_clip(source: AudioSource, start: float, end: float, format: str = "wav") -> bytes:
    """Return a part of a recording as the content of an audio file, at its own rate and with all of its channels.

    Samples of whole numbers stay what they are wherever the format holds as many bits; nothing is faded or scaled.

    Arguments
    ---------
    source : AudioSource
    start, end : float
        In seconds; ``end`` may exceed the recording by what ``check_bounds`` tolerates.
    format : str
        One of ``FORMATS``.

    Returns
    -------
    bytes

    Raises
    ------
    LungSRADError
        Where the recording cannot be read there, or the times do not lie within it.

    Example
    -------
    >>> from lung_srad_plugin.audio.source import audio_source
    >>> tone = audio_source(np.sin(np.arange(8000.0)), sample_rate=4000)
    >>> clip = cut_clip(tone, 0.5, 1.25)
    >>> soundfile.info(io.BytesIO(clip)).frames
    3000
    """
    with source.open_audio() as file:
        rate = file.samplerate
        check_bounds(start, end, file.frames / rate, source.name)
        begin, stop = round(start * rate), min(round(end * rate), file.frames)
        whole_numbers = file.subtype.startswith("PCM_")
        try:
            file.seek(begin)
            samples = file.read(stop - begin, dtype="int32" if whole_numbers else "float64", always_2d=True)
        except soundfile.SoundFileError as error:
            raise LungSRADError(f"{source.name}: cannot be read from {start:g} to {end:g} s ({error})") from error
        if len(samples) < stop - begin:
            read = (begin + len(samples)) / rate
            raise LungSRADError(f"{source.name}: ends after {read:.2f} s, before {end:g} s; take the complete file")
        subtype = _subtype(file.subtype, format)
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format=format.upper(), subtype=subtype)
    return content.getvalue()


def _subtype(subtype, format):
    """Return the kind of samples that a format keeps those of a recording in."""
    if subtype.startswith(("PCM_", "FLOAT", "DOUBLE")) and soundfile.check_format(format.upper(), subtype):
        return subtype
    return "PCM_24" if subtype in _LONG_SAMPLES else "PCM_16"


def loud_flac(samples: np.ndarray, sample_rate: int) -> bytes:
    """Return samples as the content of a FLAC file, as loud as it can be without clipping.

    Arguments
    ---------
    samples : numpy.ndarray
        (samples,), floats.
    sample_rate : int
        In Hz.

    Example
    -------
    >>> samples, rate = soundfile.read(io.BytesIO(loud_flac(np.array([0.01, -0.02] * 50), 4000)))
    >>> rate, float(abs(samples).max().round(2))
    (4000, 0.9)
    """
    content = io.BytesIO()
    scaled = LOUDEST * samples / max(np.abs(samples).max(), 1e-6)
    soundfile.write(content, scaled, sample_rate, format="FLAC", subtype="PCM_16")
    return content.getvalue()


def heard_flac(recording: AudioSource) -> bytes:
    """Return a recording as a page plays it: one channel, at ``HEARD_RATE``, as loud as it can be.

    Example
    -------
    >>> from lung_srad_plugin.audio.source import audio_source
    >>> tone = audio_source(np.sin(np.arange(8000.0)), sample_rate=4000)
    >>> soundfile.info(io.BytesIO(heard_flac(tone))).frames
    32000
    """
    return loud_flac(load_recording(recording, HEARD_RATE).numpy(), HEARD_RATE)
