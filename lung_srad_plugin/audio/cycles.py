"""From a recording to the waveform of one breathing cycle.

The steps and their constants are those of Bae et al. (2023), "Patch-Mix Contrastive Learning with Audio Spectrogram
Transformer on Respiratory Sound Classification", Interspeech, on which Lung-SRAD builds: average the channels, resample
to 16 kHz, fade the whole recording in and out, cut the cycle, bring it to 8 s.
"""

import math
from pathlib import Path

import torch

from lung_srad_plugin.audio.bounds import check_bounds
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.errors import LungSRADError

FADE_SECONDS = 1 / 16


def fade(
    waveforms: torch.Tensor,
    sample_rate: int = 16000,
    fade_in: float = FADE_SECONDS,
    fade_out: float = FADE_SECONDS,
) -> torch.Tensor:
    """Fade waveforms linearly from zero at the start and to zero at the end.

    Arguments
    ---------
    waveforms : torch.Tensor
        (..., samples). Not changed.
    sample_rate : int
        In Hz.
    fade_in, fade_out : float
        Length of each ramp in seconds. A ramp of n samples takes the values 0, 1/(n-1), ..., 1.

    Returns
    -------
    torch.Tensor
        (..., samples)

    Raises
    ------
    LungSRADError
        Where the waveforms are shorter than a ramp.

    Example
    -------
    >>> fade(torch.ones(6), sample_rate=1, fade_in=2, fade_out=3)
    tensor([0.0000, 1.0000, 1.0000, 1.0000, 0.5000, 0.0000])
    """
    samples = waveforms.shape[-1]
    rise, fall = int(fade_in * sample_rate), int(fade_out * sample_rate)
    if samples < max(rise, fall):
        raise LungSRADError(
            f"a waveform of {samples / sample_rate:.4f} s ({samples} samples) is too short: "
            f"its fades last {fade_in:g} s and {fade_out:g} s"
        )
    gain = torch.ones(samples, device=waveforms.device, dtype=waveforms.dtype)
    gain[:rise] *= torch.linspace(0, 1, rise, device=gain.device, dtype=gain.dtype)
    gain[samples - fall :] *= 1 - torch.linspace(0, 1, fall, device=gain.device, dtype=gain.dtype)
    return waveforms * gain


def shape_cycle(waveforms: torch.Tensor, duration: float = 8.0, sample_rate: int = 16000) -> torch.Tensor:
    """Bring waveforms to one duration.

    What is longer is cut. What is not longer is repeated end to end, cut, and then faded out over 1/16 s: the fade
    hides where the last repetition breaks off. A cut has no fade, as in Bae et al. (2023).

    Arguments
    ---------
    waveforms : torch.Tensor
        (..., samples), for instance one cycle or a batch of cycles of one length.
    duration : float
        In seconds.
    sample_rate : int
        In Hz.

    Returns
    -------
    torch.Tensor
        (..., duration * sample_rate)

    Raises
    ------
    LungSRADError
        Where the waveforms are empty.

    Example
    -------
    >>> shape_cycle(torch.tensor([[1.0, 2.0, 3.0]]), duration=5, sample_rate=1)
    tensor([[1., 2., 3., 1., 2.]])
    >>> shape_cycle(torch.tensor([1.0, 2.0, 3.0]), duration=2, sample_rate=1)
    tensor([1., 2.])
    """
    target = round(duration * sample_rate)
    samples = waveforms.shape[-1]
    if samples == 0:
        raise LungSRADError("a waveform is empty; expected at least one sample")
    if samples > target:
        return waveforms[..., :target]
    repeats = (1,) * (waveforms.dim() - 1) + (math.ceil(target / samples),)
    return fade(waveforms.repeat(repeats)[..., :target], sample_rate, fade_in=0.0)


def cut_cycle(
    recording: torch.Tensor,
    start: float | None = None,
    stop: float | None = None,
    duration: float = 8.0,
    sample_rate: int = 16000,
    name: str | Path = "recording",
) -> torch.Tensor:
    """Cut one cycle out of a recording and bring it to one duration.

    The whole recording is faded in and out over 1/16 s, then cut, then shaped by ``shape_cycle``. Take the recording
    from ``load_recording``. Where several of its cycles are wanted, ``fade`` it once and use ``cut_faded``.

    Arguments
    ---------
    recording : torch.Tensor
        (samples,), the whole recording, not faded.
    start, stop : float, optional
        Times in seconds; the start and the end of the recording where left out. A ``stop`` up to
        ``END_TOLERANCE`` (0.05 s) after the end of the audio means the end.
    duration : float
        Of the result, in seconds.
    sample_rate : int
        Of the recording and of the result, in Hz.
    name : str or Path
        What error messages call the recording.

    Returns
    -------
    torch.Tensor
        (duration * sample_rate,)

    Raises
    ------
    LungSRADError
        Where the times do not lie in order within the recording, or the recording is too short to be faded.

    Example
    -------
    >>> cut_cycle(torch.randn(3 * 16000), start=0.5, stop=2.0).shape
    torch.Size([128000])
    """
    try:
        faded = fade(recording, sample_rate)
    except LungSRADError as error:
        raise LungSRADError(f"{name}: {error}") from error
    return cut_faded(faded, start, stop, duration, sample_rate, name)


def cut_faded(
    recording: torch.Tensor,
    start: float | None = None,
    stop: float | None = None,
    duration: float = 8.0,
    sample_rate: int = 16000,
    name: str | Path = "recording",
) -> torch.Tensor:
    """Cut one cycle out of a recording that has its fades already, and bring it to one duration.

    Arguments
    ---------
    recording : torch.Tensor
        (samples,), the whole recording.
    start, stop, duration, sample_rate, name
        As for ``cut_cycle``.

    Returns
    -------
    torch.Tensor
        (duration * sample_rate,)

    Raises
    ------
    LungSRADError
        Where the times do not lie in order within the recording.

    Example
    -------
    >>> cut_faded(torch.arange(5.0), start=1, stop=4, duration=2, sample_rate=1)
    tensor([1., 2.])
    """
    check_bounds(start, stop, len(recording) / sample_rate, name)
    begin, end = int((start or 0.0) * sample_rate), None if stop is None else int(stop * sample_rate)
    try:
        return shape_cycle(recording[begin:end], duration, sample_rate)
    except LungSRADError as error:
        raise LungSRADError(f"{name}: {error}") from error


def read_cycle(
    path: str | Path,
    start: float | None = None,
    stop: float | None = None,
    duration: float = 8.0,
    sample_rate: int = 16000,
) -> torch.Tensor:
    """Read one cycle of a recording: load, fade the recording, cut, repeat or cut to one duration, fade out.

    Arguments
    ---------
    path : str or Path
        The recording.
    start, stop : float, optional
        Times of the cycle in seconds; the whole recording where left out.
    duration : float
        Of the result, in seconds.
    sample_rate : int
        Of the result, in Hz.

    Returns
    -------
    torch.Tensor
        (duration * sample_rate,), float32

    Raises
    ------
    LungSRADError
        As ``load_recording`` and ``cut_cycle`` do; the message names the file.

    Example
    -------
    >>> import numpy, soundfile
    >>> path = getfixture("tmp_path") / "noise.wav"
    >>> soundfile.write(path, numpy.random.default_rng(0).normal(0, 0.1, 12000), 4000)
    >>> read_cycle(path, start=0.2, stop=2.7).shape
    torch.Size([128000])
    """
    return cut_cycle(load_recording(path, sample_rate), start, stop, duration, sample_rate, name=path)
