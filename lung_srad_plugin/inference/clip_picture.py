"""The mel spectrogram of a short recording as a bare picture for a page, which writes the axes beside it."""

import io
from dataclasses import dataclass

from lung_srad_plugin.audio.feature_axes import mel_scale
from lung_srad_plugin.audio.source import AudioSource
from lung_srad_plugin.audio.stream import RecordingStream
from lung_srad_plugin.inference.figure import RATE, TICKS_HZ, spectrogram_pixels


@dataclass(frozen=True)
class ClipPicture:
    """A picture without axes, and what a page needs to write them.

    Arguments
    ---------
    content : bytes
        WebP; its width is the whole duration.
    duration : float
        Seconds.
    ticks : tuple of (str, float)
        Frequencies in Hz, and where they lie, from 0 at the bottom to 1 at the top.
    """

    content: bytes
    duration: float
    ticks: tuple[tuple[str, float], ...]


def draw_clip(recording: AudioSource) -> ClipPicture:
    """Return the picture of a recording: mel-scaled frequencies of 100 to at most 4,000 Hz over time.

    Arguments
    ---------
    recording : AudioSource

    Raises
    ------
    LungSRADError
        Where it cannot be read.

    Example
    -------
    >>> import numpy as np
    >>> from lung_srad_plugin.audio.source import audio_source
    >>> picture = draw_clip(audio_source(np.random.default_rng(0).normal(0, 0.1, 8000), sample_rate=4000))
    >>> picture.duration, picture.content[8:12], [hz for hz, _ in picture.ticks]
    (2.0, b'WEBP', ['150', '300', '600', '1,200'])
    """
    from matplotlib.image import imsave

    stream = RecordingStream(recording, RATE)
    energies, bottom, top, limits = spectrogram_pixels(stream)
    content = io.BytesIO()
    imsave(
        content,
        energies,
        vmin=limits[0],
        vmax=limits[1],
        cmap="magma",
        origin="lower",
        format="webp",
        pil_kwargs={"quality": 85},
    )
    ticks = [(f"{hz:,}", (mel_scale(hz) - bottom) / (top - bottom)) for hz in TICKS_HZ if mel_scale(hz) < top]
    return ClipPicture(content.getvalue(), stream.duration, tuple((name, float(at)) for name, at in ticks))
