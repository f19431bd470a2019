"""From waveforms to log-mel spectrograms, as AST and DASS were trained on them."""

import torch

from lung_srad_plugin.audio.cycles import fade, shape_cycle
from lung_srad_plugin.errors import LungSRADError

# Mean and standard deviation of the log-mel values of AudioSet: Gong et al. (2021), "AST: Audio Spectrogram
# Transformer", Interspeech, section 2.2 and its published code.
AUDIOSET_MEAN = -4.2677393
AUDIOSET_STD = 4.5689974


class KaldiFbank(torch.nn.Module):
    """Log-mel filterbank energies by ``torchaudio.compliance.kaldi``, resized over time.

    128 mel bins, Hanning window of 25 ms, shift of 10 ms, no dither, no energy: the front end of AST (Gong et al.,
    2021). Clips of 8 s give 798 frames, which are then resized to 1024 by bilinear interpolation. The maths runs in
    float32, under ``torch.autocast`` too.

    Arguments
    ---------
    frames : int or None
        Number of frames of the result, whatever the clip's duration. None keeps one frame for each 10 ms.
    n_mels : int
        Number of mel bins.
    sample_rate : int
        Of the waveforms, in Hz.

    Shape
    -----
    Input (B, samples) or (samples,), which is a batch of one; output (B, frames, n_mels).

    Example
    -------
    >>> KaldiFbank()(torch.randn(2, 128000)).shape
    torch.Size([2, 1024, 128])
    >>> KaldiFbank(frames=None)(torch.randn(2, 128000)).shape
    torch.Size([2, 798, 128])
    """

    def __init__(self, frames=1024, n_mels=128, sample_rate=16000):
        super().__init__()
        if frames is not None and frames < 1:
            raise LungSRADError(f"frames={frames}: expected a positive number of frames, or None to keep them all")
        self.frames = frames
        self.n_mels = n_mels
        self.sample_rate = sample_rate

    def forward(self, waveforms):
        """Return the log-mel energies (B, frames, n_mels) of waveforms (B, samples).

        Raises
        ------
        LungSRADError
            Where the batch is empty or its clips are shorter than one window of 25 ms.
        """
        waveforms = _as_batch(waveforms)
        with torch.autocast(waveforms.device.type, enabled=False):
            # A CPU is about twice as fast clip by clip, whose arrays fit its cache; a GPU wants one large call.
            clips = 1 if waveforms.device.type == "cpu" else len(waveforms)
            groups = waveforms.float().split(clips)
            feats = torch.cat([kaldi_fbank(group, self.n_mels, self.sample_rate) for group in groups])
            if self.frames is None:
                return feats
            # (B, 1, T, F): over the mel axis nothing changes.
            resized = torch.nn.functional.interpolate(
                feats.unsqueeze(1), size=(self.frames, self.n_mels), mode="bilinear", align_corners=False
            )
            return resized.squeeze(1)

    def extra_repr(self):
        return f"frames={self.frames}, n_mels={self.n_mels}, sample_rate={self.sample_rate}"


def kaldi_fbank(waveforms, n_mels=128, sample_rate=16000):
    """Log-mel energies of a batch in one call of ``torchaudio.compliance.kaldi.fbank``.

    That function takes one waveform. The clips are laid end to end, each padded to a whole number of frame shifts, so
    that every clip's frames fall where they would fall by themselves; frames that straddle two clips are dropped.

    Arguments
    ---------
    waveforms : torch.Tensor
        (B, samples), float32.
    n_mels : int
        Number of mel bins.
    sample_rate : int
        In Hz.

    Returns
    -------
    torch.Tensor
        (B, 1 + (samples - window) // shift, n_mels), natural logarithm, with window 25 ms and shift 10 ms.

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

    window, shift = int(sample_rate * 0.025), int(sample_rate * 0.010)
    batch, samples = waveforms.shape
    if samples < window:
        raise LungSRADError(f"clips of {samples} samples are shorter than one window of 25 ms ({window} samples)")
    padded = torch.nn.functional.pad(waveforms, (0, -samples % shift))
    frames, stride = 1 + (samples - window) // shift, padded.shape[1] // shift
    feats = kaldi.fbank(
        padded.reshape(1, -1),
        sample_frequency=sample_rate,
        num_mel_bins=n_mels,
        frame_length=25.0,
        frame_shift=10.0,
        window_type="hanning",
        dither=0.0,
        use_energy=False,
        htk_compat=True,
    )
    # The last clip has fewer frames than the others: none straddles its end.
    feats = torch.nn.functional.pad(feats, (0, 0, 0, batch * stride - len(feats)))
    return feats.reshape(batch, stride, n_mels)[:, :frames]


class AudioSetNormalization(torch.nn.Module):
    """Normalise log-mel energies by AudioSet's mean and twice its standard deviation (Gong et al., 2021).

    Takes the arguments of SpeechBrain's ``mean_var_norm`` modules.

    Example
    -------
    >>> AudioSetNormalization()(torch.full((1, 2, 3), -4.2677393)).abs().max()
    tensor(0.)
    """

    def forward(self, feats, lens=None):
        """Return ``(feats + 4.2677393) / (2 * 4.5689974)``, of any shape; ``lens`` is not needed and not used."""
        return (feats - AUDIOSET_MEAN) / (2 * AUDIOSET_STD)


class CycleFeatures(torch.nn.Module):
    """Features of whole raw waveforms: what an exported model computes.

    Fades the recording in and out, brings it to one duration and takes the ``KaldiFbank``: for one recording the same
    as ``KaldiFbank()(read_cycle(path))``. In training ``read_cycle`` has shaped the waveform already, and
    ``KaldiFbank`` alone follows; shaping twice would fade the end twice.

    Arguments
    ---------
    duration : float
        In seconds; longer waveforms are cut, shorter ones repeated.
    sample_rate : int
        Of the waveforms, in Hz.
    frames : int or None
        As for ``KaldiFbank``.

    Shape
    -----
    Input (B, samples) or (samples,), which is a batch of one; output (B, frames, 128).

    Example
    -------
    >>> CycleFeatures()(torch.randn(2, 48000)).shape
    torch.Size([2, 1024, 128])
    """

    def __init__(self, duration=8.0, sample_rate=16000, frames=1024):
        super().__init__()
        self.duration = duration
        self.sample_rate = sample_rate
        self.fbank = KaldiFbank(frames=frames, sample_rate=sample_rate)

    def forward(self, waveforms):
        """Return the features (B, frames, 128) of raw waveforms (B, samples).

        Raises
        ------
        LungSRADError
            Where the waveforms are empty or shorter than the fade of 1/16 s.
        """
        waveforms = fade(_as_batch(waveforms).float(), self.sample_rate)
        return self.fbank(shape_cycle(waveforms, self.duration, self.sample_rate))

    def extra_repr(self):
        return f"duration={self.duration}, sample_rate={self.sample_rate}"


def _as_batch(waveforms):
    if waveforms.dim() == 1:
        waveforms = waveforms.unsqueeze(0)
    if waveforms.dim() != 2:
        raise LungSRADError(f"waveforms of shape {tuple(waveforms.shape)}; expected (B, samples) or (samples,)")
    if waveforms.numel() == 0:
        raise LungSRADError(f"waveforms of shape {tuple(waveforms.shape)} are empty; expected at least one sample")
    return waveforms
