"""Random changes of log-mel features that other devices, rooms and moments would make; in training only.

They are made before normalisation, on natural logarithms of energies: a gain of a band is an offset there, and sounds
add up by ``logaddexp``. They differ from masks (``spec_augment.py``) in that the findings of a clip remain in it.
"""

import math
from dataclasses import dataclass

import torch

from lung_srad_plugin.errors import LungSRADError

# The shapes of the random equaliser: a slope, and cosines with up to two periods over the mel bins.
COSINES = 4
# Log-mel units above the first silenced bin that a low-pass may take away at most; 8 is 35 dB.
LOW_PASS_FLOOR = 8.0
# A bin of noise has the mean of so many independent energies: the fluctuation of a short window's spectrum.
NOISE_SHAPE = 4.0


@dataclass(frozen=True)
class MelAugmentPlan:
    """What is drawn for a batch of B clips of T frames and F mel bins.

    Arguments
    ---------
    shift : torch.Tensor
        (B,) frames by which each clip starts later, the rest coming after its end: a cycle that is repeated has no
        beginning.
    gains : torch.Tensor
        (B, F) offsets of the mel bins, from equaliser and low-pass.
    noise : torch.Tensor
        (B, T, F) log-energies of noise relative to the clip's mean, minus infinity where a clip has none.
    """

    shift: torch.Tensor
    gains: torch.Tensor
    noise: torch.Tensor


def draw_mel_augment(
    batch: int,
    size: tuple[int, int],
    shift: bool = False,
    equalizer: float = 0.0,
    low_pass: float = 0.0,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> MelAugmentPlan:
    """Draw the changes of a batch; arguments as for ``MelAugment``.

    Example
    -------
    >>> plan = draw_mel_augment(2, (100, 64), equalizer=0.5)
    >>> plan.shift.tolist(), plan.gains.shape, bool(plan.noise.isinf().all())
    ([0, 0], torch.Size([2, 64]), True)
    """
    frames, mels = size

    def uniform(*shape):
        return torch.rand(*shape, generator=generator)

    starts = torch.randint(frames, (batch,), generator=generator) if shift else torch.zeros(batch, dtype=torch.long)
    position = torch.linspace(0, 1, mels)
    shapes = torch.stack([position - 0.5, *((k * math.pi * position).cos() for k in range(1, COSINES + 1))])
    gains = equalizer * torch.randn(batch, len(shapes), generator=generator) @ shapes
    # An edge in the upper half of the mel bins and a slope of 0.5 to 2.5 a bin, as of an older stethoscope or a codec.
    edge, slope = mels * (0.55 + 0.45 * uniform(batch, 1)), 0.5 + 2 * uniform(batch, 1)
    above = (torch.arange(mels) - edge).clamp(min=0, max=LOW_PASS_FLOOR)
    gains = gains - (uniform(batch, 1) < low_pass) * slope * above
    energies = torch._standard_gamma(torch.full((batch, frames, mels), NOISE_SHAPE), generator=generator) / NOISE_SHAPE
    tilt = (4 * uniform(batch, 1, 1) - 3) * torch.linspace(-1, 1, mels)
    levels = 4 * uniform(batch, 1, 1) - 4 + tilt + energies.log()
    without = uniform(batch, 1, 1) >= noise
    return MelAugmentPlan(starts, gains, levels.masked_fill(without, -math.inf))


def apply_mel_augment(feats: torch.Tensor, plan: MelAugmentPlan) -> torch.Tensor:
    """Return log-mel features (B, T, F) changed as planned; the given ones stay as they are.

    Example
    -------
    >>> plan = MelAugmentPlan(torch.tensor([1]), torch.tensor([[0.0, 2.0]]), torch.full((1, 3, 2), -torch.inf))
    >>> apply_mel_augment(torch.tensor([[[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]]), plan)
    tensor([[[2., 4.],
             [3., 5.],
             [1., 3.]]])
    """
    batch, frames, mels = feats.shape
    if plan.gains.shape != (batch, mels) or plan.noise.shape != feats.shape:
        raise LungSRADError(
            f"a plan for {tuple(plan.noise.shape)} was given features of shape {tuple(feats.shape)}; draw it for them"
        )
    shift, gains, noise = (part.to(feats.device) for part in (plan.shift, plan.gains, plan.noise))
    index = (torch.arange(frames, device=feats.device) + shift[:, None]) % frames
    feats = feats.gather(1, index[:, :, None].expand(-1, -1, mels)) + gains[:, None]
    return torch.logaddexp(feats, noise + feats.mean(dim=(1, 2), keepdim=True))


class MelAugment(torch.nn.Module):
    """In training, change log-mel features as other devices, rooms and moments would.

    Arguments
    ---------
    shift : bool
        Start each clip at a random frame; what was before it follows the end.
    equalizer : float
        Deviation of the random gains, in natural logarithms of energy, of a slope and four cosines over the mel bins.
    low_pass : float
        Probability of attenuating the bins above a random edge in the upper half.
    noise : float
        Probability of adding noise, up to 4 (17 dB) below the clip's mean log-energy, with a random slope over the
        bins.

    Shape
    -----
    Input and output (B, T, F), natural logarithms of energies, not normalised.

    Raises
    ------
    LungSRADError
        Where a probability or the deviation is out of range.

    Example
    -------
    >>> augment = MelAugment(shift=True, equalizer=0.4, noise=0.15)
    >>> feats = torch.randn(2, 100, 64)
    >>> bool((augment(feats) != feats).any()), bool((augment.eval()(feats) == feats).all())
    (True, True)
    """

    def __init__(self, shift: bool = False, equalizer: float = 0.0, low_pass: float = 0.0, noise: float = 0.0):
        super().__init__()
        for name, value in (("low_pass", low_pass), ("noise", noise)):
            if not 0 <= value <= 1:
                raise LungSRADError(f"{name}={value}: expected a probability from 0 to 1")
        if not 0 <= equalizer < math.inf:
            raise LungSRADError(f"equalizer={equalizer}: expected a deviation from 0")
        self.shift = shift
        self.equalizer = equalizer
        self.low_pass = low_pass
        self.noise = noise

    def forward(self, feats: torch.Tensor) -> torch.Tensor:
        """Return changed features in training, and the given ones in evaluation."""
        if not self.training or not (self.shift or self.equalizer or self.low_pass or self.noise):
            return feats
        size = (feats.shape[1], feats.shape[2])
        plan = draw_mel_augment(len(feats), size, self.shift, self.equalizer, self.low_pass, self.noise)
        return apply_mel_augment(feats, plan)

    def extra_repr(self) -> str:
        return f"shift={self.shift}, equalizer={self.equalizer}, low_pass={self.low_pass}, noise={self.noise}"
