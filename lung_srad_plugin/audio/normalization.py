"""Normalising features: by AudioSet's statistics, by each clip's own, or by those of the training part."""

from collections.abc import Iterable

import torch

from lung_srad_plugin.errors import LungSRADError

NORMALIZATIONS = ("audioset", "clip", "clip_mean", "bin_mean", "beats", "dataset")

# Mean and standard deviation of the log-mel values of AudioSet: Gong et al. (2021), "AST: Audio Spectrogram
# Transformer", Interspeech, section 2.2 and its published code.
AUDIOSET_MEAN = -4.2677393
AUDIOSET_STD = 4.5689974

# Those of BEATs (Chen et al., 2022, and its published code), of waveforms as 16-bit whole numbers: `level: int16`.
BEATS_MEAN = 15.41663
BEATS_STD = 6.55582

# Log-mel values of any sound deviate by more. Silence, which is one value, becomes 0 and not the rounding of its mean.
MIN_STD = 0.01


class FeatureNormalization(torch.nn.Module):
    """Subtract a mean from log-mel features, and divide by twice a standard deviation.

    Takes the arguments of SpeechBrain's ``mean_var_norm`` modules.

    Arguments
    ---------
    kind : str
        Whose mean and deviation. ``"audioset"``: AudioSet's, with which the released weights of AST and DASS were
        trained (Gong et al., 2021), and which Patch-Mix CL keeps. ``"clip"``: those of each clip over its frames and
        mel bins, as the code published by Lung-SRAD's first author has it for DASS; that code takes them before the
        frames are resized, where the deviation is 1 to 6 % larger (on ICBHI 2017). ``"clip_mean"``: the mean of each
        clip and AudioSet's deviation, so that loudness is taken out and contrast stays. ``"bin_mean"``: the mean over
        time of each mel bin of each clip and AudioSet's deviation, so that the frequency response of stethoscope, chest
        and recorder is taken out too (cepstral mean subtraction; Atal, 1974, J. Acoust. Soc. Am. 55), and with it a
        sound that never changes within the clip. ``"beats"``: those with which BEATs was trained, for features of
        ``CycleFeatures(level="int16")``. ``"dataset"``: those of the training part, set by ``fit``.
    mean, std : float, optional
        With ``"dataset"``, where they are known: an exported model has them. Both or neither.

    Shape
    -----
    Input (B, T, F), output the same. ``"audioset"``, ``"beats"`` and ``"dataset"`` take any shape.

    Raises
    ------
    LungSRADError
        Where the kind does not exist, or its statistics are incomplete or not usable.

    Example
    -------
    >>> FeatureNormalization()(torch.full((1, 2, 3), -4.2677393)).abs().max()
    tensor(0.)
    >>> FeatureNormalization("clip")(torch.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[-0.5000,  0.0000,  0.5000]]])
    >>> FeatureNormalization("clip_mean")(torch.tensor([[[1.0, 2.0, 3.0]]])) * 2 * 4.5689974
    tensor([[[-1.,  0.,  1.]]])
    >>> FeatureNormalization("bin_mean")(torch.tensor([[[1.0, 5.0], [3.0, 5.0]]])) * 2 * 4.5689974
    tensor([[[-1.,  0.],
             [ 1.,  0.]]])
    >>> FeatureNormalization("dataset", mean=-6.0, std=2.0)(torch.tensor([[[-2.0]]]))
    tensor([[[1.]]])
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, kind: str = "audioset", mean: float | None = None, std: float | None = None):
        super().__init__()
        if kind not in NORMALIZATIONS:
            raise LungSRADError(f"normalization={kind!r}: expected one of {', '.join(NORMALIZATIONS)}")
        if (mean is None) != (std is None) or (mean is not None and kind != "dataset"):
            raise LungSRADError(
                f"normalization={kind!r} with mean={mean}, std={std}: expected both with 'dataset', and else none"
            )
        self.kind = kind
        if kind == "dataset":
            # In checkpoints, so that a run that is resumed or evaluated keeps what it was trained with.
            self.register_buffer("mean", torch.tensor(torch.nan))
            self.register_buffer("std", torch.tensor(torch.nan))
            if mean is not None:
                self._set(mean, std)

    def fit(self, clips: Iterable[torch.Tensor]) -> None:
        """Take the mean and deviation of all values of the training clips; only ``"dataset"`` does.

        Arguments
        ---------
        clips : iterable of torch.Tensor
            (T, F) each; read once by ``"dataset"``, else not at all.

        Example
        -------
        >>> normalization = FeatureNormalization("dataset")
        >>> normalization.fit([torch.tensor([[-1.0, 1.0]]), torch.tensor([[7.0, 9.0]])])
        >>> normalization.mean, normalization.std
        (tensor(4.), tensor(4.1231))
        """
        if self.kind != "dataset":
            return
        count, total, squares = 0, 0.0, 0.0
        for clip in clips:
            clip = clip.double()
            count += clip.numel()
            total += clip.sum().item()
            squares += clip.square().sum().item()
        mean = total / max(count, 1)
        self._set(mean, max(squares / max(count, 1) - mean**2, 0.0) ** 0.5)

    def _set(self, mean, std):
        if not (abs(mean) < float("inf") and MIN_STD < std < float("inf")):
            raise LungSRADError(
                f"normalization='dataset' with mean {mean:g} and deviation {std:g}: expected a finite mean and a "
                f"deviation above {MIN_STD}; the training part needs cycles with sound"
            )
        self.mean.fill_(mean)
        self.std.fill_(std)

    def forward(self, feats: torch.Tensor, lens: torch.Tensor | None = None) -> torch.Tensor:
        """Return the normalised features; ``lens`` is not needed and not used, since clips are whole."""
        if self.kind == "audioset":
            return (feats - AUDIOSET_MEAN) / (2 * AUDIOSET_STD)
        if self.kind == "beats":
            return (feats - BEATS_MEAN) / (2 * BEATS_STD)
        if self.kind == "clip_mean":
            return (feats - feats.mean(dim=(1, 2), keepdim=True)) / (2 * AUDIOSET_STD)
        if self.kind == "bin_mean":
            return (feats - feats.mean(dim=1, keepdim=True)) / (2 * AUDIOSET_STD)
        if self.kind == "clip":
            mean = feats.mean(dim=(1, 2), keepdim=True)
            std = feats.std(dim=(1, 2), keepdim=True)
            scaled = (feats - mean) / (2 * std.clamp(min=MIN_STD))
            return torch.where(std > MIN_STD, scaled, torch.zeros_like(scaled))
        return (feats - self.mean) / (2 * self.std)

    def extra_repr(self) -> str:
        return f"kind={self.kind}"


class AudioSetNormalization(FeatureNormalization):
    """``FeatureNormalization("audioset")``, under the name that models and runs of version 0.1 hold.

    Example
    -------
    >>> AudioSetNormalization()(torch.full((1, 2, 3), -4.2677393)).abs().max()
    tensor(0.)
    """

    def __init__(self):
        super().__init__("audioset")
