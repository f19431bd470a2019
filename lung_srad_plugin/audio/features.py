"""The front end of a cycle: from a raw recording to the features that an encoder takes."""

import math
from pathlib import Path

import torch

from lung_srad_plugin.audio.cycles import cut_faded, fade, shape_cycle
from lung_srad_plugin.audio.fbank import KaldiFbank, as_batch
from lung_srad_plugin.audio.levels import check_level, recording_gain
from lung_srad_plugin.errors import LungSRADError


class CycleFeatures(torch.nn.Module):
    """The front end of training, of exported models and of inference, from raw waveforms to features.

    A recording is faded in and out, and multiplied by one gain where ``level`` asks for it (``prepare``). Cycles are
    cut out of it and brought to one duration (``cut``). ``fbank`` turns them into log-mel features. Called as a module
    it does all of this with whole waveforms, as SpeechBrain's ``EncoderClassifier`` calls it.

    Arguments
    ---------
    duration : float
        In seconds; longer waveforms are cut, shorter ones repeated.
    sample_rate : int
        Of the waveforms, in Hz.
    frames, n_mels, high_hz, window_ms, shift_ms
        As for ``KaldiFbank``.
    level : str
        ``"recorded"`` leaves a recording as loud as it is. ``"rms"`` multiplies it by one gain, ``level_gain``;
        ``"int16"`` by 2^15, as for BEATs.

    Shape
    -----
    Input (B, samples) or (samples,), which is a batch of one; output (B, frames, n_mels).

    Raises
    ------
    LungSRADError
        Where a setting is out of range.

    Example
    -------
    >>> CycleFeatures()(torch.randn(2, 48000)).shape
    torch.Size([2, 1024, 128])
    >>> features, recording = CycleFeatures(level="rms"), 0.001 * torch.randn(160000)
    >>> features.fbank(features.cut(features.prepare(recording), start=2.0, stop=3.5)).shape
    torch.Size([1, 1024, 128])
    """

    def __init__(
        self,
        duration: float = 8.0,
        sample_rate: int = 16000,
        frames: int | None = 1024,
        n_mels: int = 128,
        high_hz: float | None = None,
        level: str = "recorded",
        window_ms: float = 25.0,
        shift_ms: float = 10.0,
    ):
        super().__init__()
        check_level(level)
        if not 0 < duration < math.inf:
            raise LungSRADError(f"duration={duration}: expected seconds, above 0")
        self.duration = duration
        self.sample_rate = sample_rate
        self.level = level
        self.fbank = KaldiFbank(frames, n_mels, sample_rate, high_hz, window_ms, shift_ms)

    @classmethod
    def around(cls, fbank: KaldiFbank, duration: float, sample_rate: int) -> "CycleFeatures":
        """Return the front end of runs of version 0.1, whose settings hold a ``KaldiFbank`` and the duration apart.

        Raises
        ------
        LungSRADError
            Where it is no ``KaldiFbank``, or one for another sample rate than that of the waveforms.
        """
        if not isinstance(fbank, KaldiFbank):
            raise LungSRADError(
                f"compute_features is {type(fbank).__name__}; expected a CycleFeatures, as hparams/lung_srad.yaml has"
            )
        if fbank.sample_rate != sample_rate:
            raise LungSRADError(
                f"sample_rate={sample_rate}, but compute_features is a KaldiFbank for {fbank.sample_rate} Hz, so its "
                "mel bands lie elsewhere than they say; train again with a CycleFeatures, as hparams/lung_srad.yaml has"
            )
        return cls(duration, sample_rate, fbank.frames, fbank.n_mels, fbank.high_hz)

    @property
    def shape(self) -> tuple[int, int]:
        """Frames and mel bins of the features of one cycle."""
        if self.fbank.frames is not None:
            return self.fbank.frames, self.fbank.n_mels
        window, shift = self.fbank.window
        return 1 + (round(self.duration * self.sample_rate) - window) // shift, self.fbank.n_mels

    def prepare(self, recordings: torch.Tensor, name: str | Path = "recording") -> torch.Tensor:
        """Return whole recordings with their fades and their gain.

        Arguments
        ---------
        recordings : torch.Tensor
            (..., samples), raw.
        name : str or Path
            What error messages call them.

        Raises
        ------
        LungSRADError
            Where they are shorter than the fade of 1/16 s.
        """
        try:
            recordings = fade(recordings.float(), self.sample_rate)
        except LungSRADError as error:
            raise LungSRADError(f"{name}: {error}") from error
        if self.level == "recorded":
            return recordings
        return recordings * recording_gain(recordings, self.level, self.sample_rate)

    def cut(
        self,
        recording: torch.Tensor,
        start: float | None = None,
        stop: float | None = None,
        name: str | Path = "recording",
    ) -> torch.Tensor:
        """Return the waveform (samples,) of one cycle of a recording that ``prepare`` returned; see ``cut_cycle``."""
        return cut_faded(recording, start, stop, self.duration, self.sample_rate, name)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return the features (B, frames, n_mels) of raw waveforms (B, samples).

        Raises
        ------
        LungSRADError
            Where the waveforms are empty or shorter than the fade of 1/16 s.
        """
        recordings = self.prepare(as_batch(waveforms), name="waveforms")
        return self.fbank(shape_cycle(recordings, self.duration, self.sample_rate))

    def extra_repr(self) -> str:
        return f"duration={self.duration}, sample_rate={self.sample_rate}, level={self.level}"
