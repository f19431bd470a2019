"""What a recording may be given as: a file, a file object, bytes, or samples in memory."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from lung_srad_plugin.audio.av_recording import AVRecording
from lung_srad_plugin.errors import LungSRADError

UNNAMED = "recording"


@dataclass(frozen=True)
class AudioSource:
    """A recording that can be opened as often as it is needed.

    Arguments
    ---------
    name : str
        What results and messages call it.
    path : Path or None
        The file, where it is one.
    content : bytes or None
        Else what would be in the file.
    """

    name: str
    path: Path | None = None
    content: bytes | None = None

    def open_bytes(self) -> BinaryIO:
        """Return the undecoded file, opened for reading."""
        return io.BytesIO(self.content or b"") if self.path is None else self.path.open("rb")

    def open_audio(self) -> soundfile.SoundFile | AVRecording:
        """Return the recording, opened for decoding: by libsndfile, or by PyAV what libsndfile does not read.

        Raises
        ------
        LungSRADError
            Where it is absent or not readable as audio.
        """
        if self.path is not None:
            self._check_file()
        try:
            return soundfile.SoundFile(self._handle())
        except (soundfile.SoundFileError, OSError) as error:
            reason = getattr(error, "error_string", None) or error  # without the path as bytes
        with self.open_bytes() as file:
            if not file.read(1):
                raise LungSRADError(
                    f"{self.name}: cannot be read as audio: it is empty (0 bytes); copy it again from where it was "
                    "recorded"
                )
        return AVRecording(self, str(reason).strip().rstrip("."))

    def _check_file(self):
        try:
            is_file = self.path.is_file()
        except OSError as error:  # for example a name that is too long
            raise LungSRADError(f"{self.name}: no such audio file ({error.strerror})") from error
        if not is_file:
            raise LungSRADError(f"{self.name}: no such audio file")
        if self.path.suffix.lower() == ".raw":
            raise LungSRADError(
                f"{self.name}: a .raw file does not say its sample rate and sample format; convert it first, for "
                "example: ffmpeg -f s16le -ar 4000 -ac 1 -i recording.raw recording.wav"
            )

    def _handle(self):
        if self.path is None:
            return io.BytesIO(self.content)
        # As bytes, because a name need not be UTF-8; Windows has names of characters.
        return os.fsencode(self.path) if os.name == "posix" else os.fspath(self.path)


def audio_source(recording: Any, sample_rate: int | None = None, name: str | None = None) -> AudioSource:
    """Return the source that a recording is read from.

    Arguments
    ---------
    recording : str, Path, bytes, binary file, numpy array, torch.Tensor or AudioSource
        The path of an audio file; what is in one, as bytes or as a file object, which is read to its end; or samples,
        (samples,) or (samples, channels), of floats with full scale at 1.
    sample_rate : int, optional
        Of samples, in Hz, which need it; nothing else has it.
    name : str, optional
        What results and messages call it; by default the path, the name of the file object, or "recording".

    Returns
    -------
    AudioSource

    Raises
    ------
    LungSRADError
        Where the recording is of another type, or samples have no rate or the wrong shape.

    Example
    -------
    >>> audio_source("breath.wav").name, audio_source(b"RIFF", name="upload 7").name
    ('breath.wav', 'upload 7')
    >>> audio_source(np.zeros(4000, dtype="float32"), sample_rate=4000).open_audio().frames
    4000
    """
    if isinstance(recording, AudioSource):
        return recording
    if name is not None and not isinstance(name, str):
        raise LungSRADError(f"name={name!r}; expected text")
    samples = _samples(recording)
    if samples is not None:
        name = name or UNNAMED
        return AudioSource(name, content=_encode(samples, sample_rate, name))
    is_path = isinstance(recording, (str, os.PathLike))
    is_content = isinstance(recording, (bytes, bytearray, memoryview))
    if not is_path and not is_content and not callable(getattr(recording, "read", None)):
        raise LungSRADError(
            f"a recording of type {type(recording).__name__}; expected a path, bytes, a binary file object, or an "
            "array of samples with sample_rate"
        )
    if sample_rate is not None:
        raise LungSRADError(f"sample_rate={sample_rate}: an audio file states its own; only samples need it")
    if is_path:
        return AudioSource(name or str(recording), path=Path(os.fsdecode(recording)))
    if is_content:
        return AudioSource(name or UNNAMED, content=bytes(recording))
    content, own_name = recording.read(), getattr(recording, "name", None)
    if not isinstance(content, bytes):
        raise LungSRADError(f"a file object that reads {type(content).__name__}; open it as binary, with 'rb'")
    return AudioSource(name or (own_name if isinstance(own_name, str) else UNNAMED), content=content)


def _samples(recording):
    if isinstance(recording, np.ndarray):
        return recording
    # A torch.Tensor, without importing torch for those who have none.
    is_tensor = hasattr(recording, "detach") and hasattr(recording, "numpy")
    return recording.detach().cpu().numpy() if is_tensor else None


def _encode(samples, sample_rate, name):
    """Return samples as an audio file of 32-bit floats, so that there is one way of reading."""
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, (int, np.integer)) or sample_rate < 1:
        raise LungSRADError(f"{name}: sample_rate={sample_rate!r}; samples need theirs, a whole number in Hz")
    if not np.issubdtype(samples.dtype, np.floating):
        raise LungSRADError(
            f"{name}: samples of type {samples.dtype}; expected floats with full scale at 1 (divide 16-bit integers by "
            "32768)"
        )
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and samples.shape[1] > samples.shape[0] > 0):
        raise LungSRADError(
            f"{name}: samples of shape {samples.shape}; expected (samples,) or (samples, channels), so perhaps it is "
            "to be transposed"
        )
    file = io.BytesIO()
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused with its time
        samples = samples.astype(np.float32)
    soundfile.write(file, samples, int(sample_rate), format="RF64", subtype="FLOAT")
    return file.getvalue()
