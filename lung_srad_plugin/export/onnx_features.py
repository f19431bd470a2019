"""The front end in operators that ONNX has: recording to log-mel features, with the length of the input left open."""

import math

import torch
import torch.nn.functional as F

from lung_srad_plugin.audio.cycles import FADE_SECONDS
from lung_srad_plugin.audio.fbank import LOW_HZ
from lung_srad_plugin.audio.features import CycleFeatures
from lung_srad_plugin.audio.levels import recording_gain

PREEMPHASIS = 0.97


class ONNXFeatures(torch.nn.Module):
    """Computes what ``CycleFeatures`` does, without FFT and without branches on the input's length.

    A fade is a factor that depends on the distance from an end; repeating is indexing modulo the length; the spectrum
    is a product with a matrix of cosines and sines instead of an FFT. Frames are gathered in the longest pieces that
    window and shift have in common.

    Arguments
    ---------
    features : CycleFeatures
        The front end whose settings are taken.

    Shape
    -----
    Input (B, samples), longer than the fade of 1/16 s, and whether each is a whole recording or was cut out of one that
    has its fades and its gain; output (B, frames, n_mels).

    Example
    -------
    >>> features, noise = CycleFeatures(duration=1.0, frames=64), torch.randn(2, 12000)
    >>> bool(torch.allclose(ONNXFeatures(features)(noise), features(noise), atol=0.05))
    True
    """

    def __init__(self, features: CycleFeatures):
        super().__init__()
        rate = features.sample_rate
        self.sample_rate = rate
        self.level = features.level
        self.samples = round(features.duration * rate)
        self.ramp = int(FADE_SECONDS * rate)
        self.frames = features.fbank.frames
        self.window, self.shift = features.fbank.window
        self.count = 1 + (self.samples - self.window) // self.shift
        spectrum, mels = _matrices(rate, self.window, features.fbank.n_mels, features.fbank.high_hz)
        self.register_buffer("spectrum", spectrum)
        self.register_buffer("mels", mels)
        self.piece = math.gcd(self.window, self.shift)
        pieces = torch.arange(self.window // self.piece)
        index = torch.arange(self.count)[:, None] * (self.shift // self.piece) + pieces
        self.register_buffer("pieces", index.flatten())

    def forward(self, waveforms: torch.Tensor, whole: torch.Tensor | None = None) -> torch.Tensor:
        """Return the features (B, frames, n_mels) of waveforms (B, samples).

        Arguments
        ---------
        waveforms : torch.Tensor
        whole : torch.Tensor, optional
            (), a truth value: whether they are whole recordings, raw, or parts of recordings that ``prepare`` of
            ``CycleFeatures`` returned. By default they are whole.
        """
        whole = torch.ones((), dtype=torch.bool, device=waveforms.device) if whole is None else whole
        return self._log_mel(self._shape(self._prepare(waveforms, whole)))

    def _prepare(self, waveforms, whole):
        index = torch.arange(waveforms.shape[1], device=waveforms.device)
        # A tensor: the exporter has no remainder by a size that is left open.
        length = index[-1:] + 1
        # Both ramps are 0 at their very end; in a short recording they overlap.
        rise, fall = ((part.float() / (self.ramp - 1)).clamp(max=1.0) for part in (index, length - 1 - index))
        one = torch.ones((), device=waveforms.device)
        waveforms = waveforms * torch.where(whole, rise * fall, one)
        if self.level != "recorded":
            gain = recording_gain(waveforms, self.level, self.sample_rate)
            waveforms = waveforms * torch.where(whole, gain, one)
        return waveforms

    def _shape(self, waveforms):
        length = torch.arange(waveforms.shape[1], device=waveforms.device)[-1:] + 1
        index = torch.arange(self.samples, device=waveforms.device)
        waveforms = waveforms.index_select(1, index % length)
        # A cut has no fade at its end, a repetition has.
        fall = ((self.samples - 1 - index).float() / (self.ramp - 1)).clamp(max=1.0)
        cut = (length > self.samples).float()
        return waveforms * torch.maximum(fall, cut)

    def _log_mel(self, waveforms):
        count = self.samples // self.piece
        pieces = waveforms[:, : count * self.piece].unflatten(1, (count, self.piece))
        frames = pieces.index_select(1, self.pieces).view(-1, self.count, self.window)
        frames = frames - frames.mean(dim=2, keepdim=True)
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
        real, imaginary = ((frames - PREEMPHASIS * before) @ self.spectrum).chunk(2, dim=2)
        energies = (real.square() + imaginary.square()) @ self.mels
        feats = energies.clamp(min=torch.finfo(torch.float32).eps).log()
        if self.frames is None:
            return feats
        return F.interpolate(
            feats.unsqueeze(1), size=(self.frames, feats.shape[2]), mode="bilinear", align_corners=False
        ).squeeze(1)


def _matrices(rate, window, n_mels, high_hz):
    """The windowed cosines and sines (window, 2 bins), and the mel filters (bins, n_mels), as Kaldi has them."""
    from torchaudio.compliance.kaldi import get_mel_banks

    size = 1 << (window - 1).bit_length()
    hanning = torch.hann_window(window, periodic=False, dtype=torch.float64)
    bins = torch.arange(size // 2 + 1, dtype=torch.float64)
    angle = 2 * math.pi / size * torch.arange(window, dtype=torch.float64)[:, None] * bins
    spectrum = torch.cat([angle.cos(), -angle.sin()], dim=1) * hanning[:, None]
    filters, _ = get_mel_banks(n_mels, size, float(rate), LOW_HZ, high_hz or 0.0, 100.0, -500.0, 1.0)
    return spectrum.float(), F.pad(filters, (0, 1)).T.contiguous()
