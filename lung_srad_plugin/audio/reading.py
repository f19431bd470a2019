"""Reading a recording: one channel, at the wanted sample rate."""

import math
from pathlib import Path

import soundfile
import torch

from lung_srad_plugin.audio.source import AudioSource, audio_source
from lung_srad_plugin.errors import LungSRADError

# Values of the resampling filter. Rates without a common divisor, 44,099 and 16,000 Hz say, would need gigabytes.
MAX_FILTER = 8_000_000


def load_recording(path: str | Path | AudioSource, sample_rate: int = 16000) -> torch.Tensor:
    """Read a recording as one channel at the wanted sample rate, without any fade.

    Arguments
    ---------
    path : str, Path or AudioSource
        An audio file that libsndfile or PyAV reads, or an ``AudioSource``. Several channels are averaged.
    sample_rate : int
        Sample rate of the result in Hz. Other rates are resampled by ``torchaudio.transforms.Resample``.

    Returns
    -------
    torch.Tensor
        (samples,), float32, full scale at 1.

    Raises
    ------
    LungSRADError
        Where the file is absent, not readable as audio, empty, holds NaN or infinite samples, or its rate is too odd.

    Example
    -------
    >>> import numpy, soundfile
    >>> path = getfixture("tmp_path") / "tone.wav"
    >>> soundfile.write(path, numpy.zeros((4000, 2)), 4000)
    >>> load_recording(path).shape
    torch.Size([16000])
    """
    source = audio_source(path)
    with source.open_audio() as file:
        native_rate = file.samplerate
        try:
            samples = file.read(dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise LungSRADError(f"{source.name}: cannot be read as audio to its end ({error})") from error
    if len(samples) == 0:
        raise LungSRADError(f"{source.name}: the audio file holds no samples")
    recording = torch.from_numpy(samples).mean(dim=1)
    if not torch.isfinite(recording).all():
        raise LungSRADError(f"{source.name}: the audio holds NaN or infinite samples; expected finite ones")
    old, new = resampling_ratio(native_rate, sample_rate, source.name)
    if native_rate != sample_rate:
        # Imported here: torchaudio takes a while, and recordings that are at the right rate do without it. Its module
        # computes the filter in float64, its function in float32: a difference that log-mel values show in silence.
        from torchaudio.transforms import Resample

        # It rounds the new length in float32, which can lose the last samples: it gets a step of silence more, and what
        # is too long is cut off.
        longer = torch.nn.functional.pad(recording, (0, old))
        recording = Resample(native_rate, sample_rate)(longer)[: math.ceil(len(recording) * new / old)]
    return recording


def resampling_ratio(native_rate, sample_rate, path, cure=None):
    """Return how many samples before become how many after resampling, in lowest terms.

    Arguments
    ---------
    native_rate, sample_rate : int
        Before and after, in Hz.
    path : str or Path
        Of the recording, for the message.
    cure : str, optional
        Of what is no file; by default a command that resamples the file.

    Raises
    ------
    LungSRADError
        Where the two are so odd that the filter between them would not fit the memory.

    Example
    -------
    >>> resampling_ratio(44100, 16000, "breath.wav")
    (441, 160)
    """
    divisor = math.gcd(native_rate, sample_rate)
    old, new = native_rate // divisor, sample_rate // divisor
    if old * new > MAX_FILTER:
        cure = cure or (
            "resample the file to a usual rate first, for example: "
            f"ffmpeg -i {Path(path).name} -ar {sample_rate} resampled.wav"
        )
        raise LungSRADError(f"{path}: {native_rate} Hz has no common measure with {sample_rate} Hz; {cure}")
    return old, new
