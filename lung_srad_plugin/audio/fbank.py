"""Log-mel filterbank energies as Kaldi computes them, as AST and DASS were trained on them."""

import math

import torch

from lung_srad_plugin.errors import LungSRADError

# Lower edge of the first mel band, and the floor of the energies' logarithm: Kaldi's.
LOW_HZ = 20.0
FLOOR = math.log(torch.finfo(torch.float32).eps)


class KaldiFbank(torch.nn.Module):
    """Log-mel filterbank energies by ``torchaudio.compliance.kaldi``, resized over time.

    By default 128 mel bins, Hanning window of 25 ms, shift of 10 ms, no dither, no energy: the front end of AST (Gong
    et al., 2021). Clips of 8 s give 798 frames, which are then resized to 1024 by bilinear interpolation. The maths
    runs in float32, under ``torch.autocast`` too.

    Arguments
    ---------
    frames : int or None
        Number of frames of the result, whatever the clip's duration. None keeps one frame for each shift.
    n_mels : int
        Number of mel bins.
    sample_rate : int
        Of the waveforms, in Hz.
    high_hz : float or None
        Upper edge of the last mel band; None is half the sample rate.
    window_ms, shift_ms : float
        Length of the window of one frame, and the time from one frame to the next, in milliseconds.

    Shape
    -----
    Input (B, samples) or (samples,), which is a batch of one; output (B, frames, n_mels).

    Raises
    ------
    LungSRADError
        Where a setting is out of range.

    Example
    -------
    >>> KaldiFbank()(torch.randn(2, 128000)).shape
    torch.Size([2, 1024, 128])
    >>> KaldiFbank(frames=None)(torch.randn(2, 128000)).shape
    torch.Size([2, 798, 128])
    """

    def __init__(
        self,
        frames: int | None = 1024,
        n_mels: int = 128,
        sample_rate: int = 16000,
        high_hz: float | None = None,
        window_ms: float = 25.0,
        shift_ms: float = 10.0,
    ):
        super().__init__()
        if frames is not None and frames < 1:
            raise LungSRADError(f"frames={frames}: expected a positive number of frames, or None to keep them all")
        if n_mels < 1:
            raise LungSRADError(f"n_mels={n_mels}: expected a positive number of mel bins")
        if high_hz is not None and not LOW_HZ < high_hz <= sample_rate / 2:
            raise LungSRADError(
                f"high_hz={high_hz}: the last mel band ends above {LOW_HZ:g} Hz and at most at half the sample rate, "
                f"{sample_rate / 2:g} Hz; None means the latter"
            )
        self.frames = frames
        self.n_mels = n_mels
        self.sample_rate = sample_rate
        self.high_hz = high_hz
        self.window_ms = window_ms
        self.shift_ms = shift_ms
        if min(self.window) < 1:
            raise LungSRADError(
                f"window_ms={window_ms}, shift_ms={shift_ms}: expected at least one sample at {sample_rate} Hz"
            )

    @property
    def window(self) -> tuple[int, int]:
        """Length of a window and of a shift, in samples."""
        return window_samples(self.sample_rate, self.window_ms, self.shift_ms)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return the log-mel energies (B, frames, n_mels) of waveforms (B, samples).

        Raises
        ------
        LungSRADError
            Where the batch is empty or its clips are shorter than one window.
        """
        waveforms = as_batch(waveforms)
        with torch.autocast(waveforms.device.type, enabled=False):
            # A CPU is about twice as fast clip by clip, whose arrays fit its cache; a GPU wants one large call.
            clips = 1 if waveforms.device.type == "cpu" else len(waveforms)
            groups = waveforms.float().split(clips)
            settings = (self.n_mels, self.sample_rate, self.high_hz, self.window_ms, self.shift_ms)
            feats = torch.cat([kaldi_fbank(group, *settings) for group in groups])
            if self.frames is None:
                return feats
            # (B, 1, T, F): over the mel axis nothing changes.
            resized = torch.nn.functional.interpolate(
                feats.unsqueeze(1), size=(self.frames, self.n_mels), mode="bilinear", align_corners=False
            )
            return resized.squeeze(1)

    def extra_repr(self) -> str:
        return (
            f"frames={self.frames}, n_mels={self.n_mels}, sample_rate={self.sample_rate}, "
            f"high_hz={self.sample_rate / 2 if self.high_hz is None else self.high_hz:g}, "
            f"window_ms={self.window_ms:g}, shift_ms={self.shift_ms:g}"
        )


def mel_frequencies(n_mels: int = 128, sample_rate: int = 16000, high_hz: float | None = None) -> torch.Tensor:
    """Return the centre of each mel band in Hz, for a bank of Kaldi's.

    Arguments
    ---------
    n_mels, sample_rate, high_hz
        As for ``KaldiFbank``.

    Returns
    -------
    torch.Tensor
        (n_mels,), float64.

    Example
    -------
    >>> mel_frequencies(n_mels=3, sample_rate=16000).round()
    tensor([ 642., 1803., 3966.], dtype=torch.float64)
    """
    low, high = (1127 * math.log(1 + hertz / 700) for hertz in (LOW_HZ, high_hz or sample_rate / 2))
    mels = low + (high - low) / (n_mels + 1) * torch.arange(1, n_mels + 1, dtype=torch.float64)
    return 700 * (torch.exp(mels / 1127) - 1)


def kaldi_fbank(
    waveforms: torch.Tensor,
    n_mels: int = 128,
    sample_rate: int = 16000,
    high_hz: float | None = None,
    window_ms: float = 25.0,
    shift_ms: float = 10.0,
) -> torch.Tensor:
    """Log-mel energies of a batch in one call of ``torchaudio.compliance.kaldi.fbank``.

    That function takes one waveform. The clips are laid end to end, each padded to a whole number of frame shifts, so
    that every clip's frames fall where they would fall by themselves; frames that straddle two clips are dropped.

    Arguments
    ---------
    waveforms : torch.Tensor
        (B, samples), float32.
    n_mels : int
        Number of mel bins.
    sample_rate, high_hz, window_ms, shift_ms
        As for ``KaldiFbank``.

    Returns
    -------
    torch.Tensor
        (B, 1 + (samples - window) // shift, n_mels), natural logarithm, with window and shift in samples.

    Raises
    ------
    LungSRADError
        Where the clips are shorter than one window.

    Example
    -------
    >>> kaldi_fbank(torch.randn(3, 16000)).shape
    torch.Size([3, 98, 128])
    """
    from torchaudio.compliance import kaldi

    window, shift = window_samples(sample_rate, window_ms, shift_ms)
    batch, samples = waveforms.shape
    if samples < window:
        raise LungSRADError(
            f"clips of {samples} samples are shorter than one window of {window_ms:g} ms ({window} samples)"
        )
    padded = torch.nn.functional.pad(waveforms, (0, -samples % shift))
    frames, stride = 1 + (samples - window) // shift, padded.shape[1] // shift
    feats = kaldi.fbank(
        padded.reshape(1, -1),
        sample_frequency=sample_rate,
        num_mel_bins=n_mels,
        frame_length=window_ms,
        frame_shift=shift_ms,
        window_type="hanning",
        dither=0.0,
        use_energy=False,
        htk_compat=True,
        low_freq=LOW_HZ,
        high_freq=0.0 if high_hz is None else high_hz,  # 0: half the sample rate
    )
    # The last clip has fewer frames than the others: none straddles its end.
    feats = torch.nn.functional.pad(feats, (0, 0, 0, batch * stride - len(feats)))
    return feats.reshape(batch, stride, n_mels)[:, :frames]


def window_samples(sample_rate: int, window_ms: float = 25.0, shift_ms: float = 10.0) -> tuple[int, int]:
    """Return the length of a window and of a shift in samples, rounded down as Kaldi does.

    Example
    -------
    >>> window_samples(16000)
    (400, 160)
    """
    return int(sample_rate * window_ms * 0.001), int(sample_rate * shift_ms * 0.001)


def as_batch(waveforms: torch.Tensor) -> torch.Tensor:
    """Return waveforms (B, samples); (samples,) is a batch of one. Refuse other shapes and empty ones."""
    if waveforms.dim() == 1:
        waveforms = waveforms.unsqueeze(0)
    if waveforms.dim() != 2:
        raise LungSRADError(f"waveforms of shape {tuple(waveforms.shape)}; expected (B, samples) or (samples,)")
    if waveforms.numel() == 0:
        raise LungSRADError(f"waveforms of shape {tuple(waveforms.shape)} are empty; expected at least one sample")
    return waveforms
