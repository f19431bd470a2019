"""SpecAugment: bands and spans of a spectrogram are replaced by its mean while training.

Park et al. (2019), "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition", Interspeech,
section 2, without time warping; the widths for ICBHI are those of Bae et al. (2023). As in the rest of this package
randomness is drawn first, into a plan that can be looked at, and applied afterwards.
"""

from dataclasses import dataclass

import torch

from lung_srad_plugin.errors import LungSRADError


@dataclass(frozen=True)
class SpecAugmentPlan:
    """Where each example of a batch is masked. A width of 0 masks nothing.

    Arguments
    ---------
    freq_start, freq_width : torch.Tensor
        (B, freq_masks), int64: first mel bin and number of mel bins of each frequency mask.
    time_start, time_width : torch.Tensor
        (B, time_masks), int64: first frame and number of frames of each time mask.
    """

    freq_start: torch.Tensor
    freq_width: torch.Tensor
    time_start: torch.Tensor
    time_width: torch.Tensor


def draw_spec_augment(
    batch,
    size,
    freq_masks=2,
    freq_width=48,
    time_masks=2,
    time_width=160,
    probability=1.0,
    generator=None,
):
    """Draw the masks of a batch, independently for each example.

    A mask's width is uniform over 0 ... limit - 1, where the limit is ``freq_width`` or ``time_width``, or the length
    of the axis where that is shorter. Its place is uniform over where it fits.

    Arguments
    ---------
    batch : int
        Number of examples.
    size : tuple of int
        (T, F): frames and mel bins.
    freq_masks, time_masks : int
        Number of masks on each axis.
    freq_width, time_width : int
        Masks are narrower than this many mel bins and frames.
    probability : float
        Share of the examples that are masked at all.
    generator : torch.Generator, optional
        On the CPU; torch's global one where left out.

    Returns
    -------
    SpecAugmentPlan

    Raises
    ------
    LungSRADError
        Where a setting is out of range.

    Example
    -------
    >>> plan = draw_spec_augment(4, size=(1024, 128), generator=torch.Generator().manual_seed(0))
    >>> plan.time_start.shape, bool((plan.time_width < 160).all())
    (torch.Size([4, 2]), True)
    """
    if not 0 <= probability <= 1:
        raise LungSRADError(f"probability={probability}: expected a share between 0 and 1")
    chosen = torch.rand(batch, 1, generator=generator) < probability
    freq_start, freq_widths = _draw_masks("freq", batch, freq_masks, freq_width, size[1], generator)
    time_start, time_widths = _draw_masks("time", batch, time_masks, time_width, size[0], generator)
    return SpecAugmentPlan(freq_start, freq_widths * chosen, time_start, time_widths * chosen)


def _draw_masks(axis, batch, masks, width, length, generator):
    if masks < 0 or width < 1 or length < 1:
        raise LungSRADError(
            f"{axis}_masks={masks}, {axis}_width={width} on an axis of {length}: "
            "expected 0 or more masks, and a width and an axis of at least 1"
        )
    widths = torch.randint(min(width, length), (batch, masks), generator=generator)
    last = length - widths
    # The product may round up to last + 1.
    starts = (torch.rand(batch, masks, generator=generator) * (last + 1)).long().minimum(last)
    return starts, widths


def apply_spec_augment(feats, plan):
    """Replace what the plan masks by the mean of the example it lies in.

    Arguments
    ---------
    feats : torch.Tensor
        (B, T, F), normalised features. Not changed.
    plan : SpecAugmentPlan
        From ``draw_spec_augment`` for this batch and size.

    Returns
    -------
    torch.Tensor
        (B, T, F)

    Example
    -------
    >>> feats = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])
    >>> one, none = torch.tensor([[1]]), torch.tensor([[0]])
    >>> apply_spec_augment(feats, SpecAugmentPlan(freq_start=one, freq_width=one, time_start=none, time_width=none))
    tensor([[[1., 3.],
             [3., 3.]]])
    """
    _, frames, mels = feats.shape
    bands = _covered(plan.freq_start.to(feats.device), plan.freq_width.to(feats.device), mels)
    spans = _covered(plan.time_start.to(feats.device), plan.time_width.to(feats.device), frames)
    mean = feats.mean(dim=(1, 2), keepdim=True)
    return torch.where(bands.unsqueeze(1) | spans.unsqueeze(2), mean, feats)


def _covered(start, width, length):
    """(B, masks) starts and widths -> (B, length), True where any mask lies."""
    position = torch.arange(length, device=start.device)
    start, stop = start.unsqueeze(2), (start + width).unsqueeze(2)
    return ((start <= position) & (position < stop)).any(dim=1)


class SpecAugment(torch.nn.Module):
    """Mask features while training; in evaluation they pass unchanged.

    Arguments
    ---------
    freq_masks, freq_width, time_masks, time_width, probability
        As for ``draw_spec_augment``.

    Shape
    -----
    Input and output (B, T, F).

    Example
    -------
    >>> feats = torch.randn(2, 1024, 128)
    >>> SpecAugment().eval()(feats) is feats
    True
    >>> SpecAugment().train()(feats).shape
    torch.Size([2, 1024, 128])
    """

    def __init__(self, freq_masks=2, freq_width=48, time_masks=2, time_width=160, probability=1.0):
        super().__init__()
        self.freq_masks = freq_masks
        self.freq_width = freq_width
        self.time_masks = time_masks
        self.time_width = time_width
        self.probability = probability

    def forward(self, feats):
        """Return the features, masked while training."""
        if not self.training:
            return feats
        plan = draw_spec_augment(
            len(feats),
            feats.shape[1:],
            self.freq_masks,
            self.freq_width,
            self.time_masks,
            self.time_width,
            self.probability,
        )
        return apply_spec_augment(feats, plan)

    def extra_repr(self):
        return (
            f"freq_masks={self.freq_masks}, freq_width={self.freq_width}, time_masks={self.time_masks}, "
            f"time_width={self.time_width}, probability={self.probability}"
        )
