"""SpecAugment: bands and spans of a spectrogram are replaced by its mean while training.

Park et al. (2019), "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition", Interspeech,
section 2, without time warping; the widths for ICBHI are those of Bae et al. (2023), who mask up to 160 of 798 frames
and up to 48 of 128 mel bins before any resizing. They are shares here, so that a mask covers as much of a clip's time
whatever its number of frames is. As in the rest of this package randomness is drawn first, into a plan that can be
inspected, and applied afterwards.
"""

from dataclasses import dataclass

import torch

from lung_srad_plugin.errors import LungSRADError

TIME_SHARE = 160 / 798
FREQ_SHARE = 48 / 128


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
    batch: int,
    size: tuple[int, int],
    freq_masks: int = 2,
    freq_share: float = FREQ_SHARE,
    time_masks: int = 2,
    time_share: float = TIME_SHARE,
    probability: float = 1.0,
    generator: torch.Generator | None = None,
) -> SpecAugmentPlan:
    """Draw the masks of a batch, independently for each example.

    A mask's width is uniform over 0 ... limit - 1, where the limit is ``freq_share`` or ``time_share`` of the axis,
    rounded, and at least 1. Its start is uniform over where it fits.

    Arguments
    ---------
    batch : int
        Number of examples.
    size : tuple of int
        (T, F): frames and mel bins.
    freq_masks, time_masks : int
        Number of masks on each axis.
    freq_share, time_share : float
        Masks are narrower than this share of the mel bins and of the frames; above 0 and at most 1.
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
    >>> plan.time_start.shape, bool((plan.time_width < 205).all())
    (torch.Size([4, 2]), True)
    """
    if not 0 <= probability <= 1:
        raise LungSRADError(f"probability={probability}: expected a share between 0 and 1")
    chosen = torch.rand(batch, 1, generator=generator) < probability
    freq_start, freq_widths = _draw_masks("freq", batch, freq_masks, freq_share, size[1], generator)
    time_start, time_widths = _draw_masks("time", batch, time_masks, time_share, size[0], generator)
    return SpecAugmentPlan(freq_start, freq_widths * chosen, time_start, time_widths * chosen)


def _draw_masks(axis, batch, masks, share, length, generator):
    if masks < 0 or not 0 < share <= 1 or length < 1:
        raise LungSRADError(
            f"{axis}_masks={masks}, {axis}_share={share} on an axis of {length}: "
            "expected 0 or more masks, a share above 0 and at most 1, and an axis of at least 1"
        )
    widths = torch.randint(max(round(share * length), 1), (batch, masks), generator=generator)
    last = length - widths
    # The product may round up to last + 1.
    starts = (torch.rand(batch, masks, generator=generator) * (last + 1)).long().minimum(last)
    return starts, widths


def apply_spec_augment(feats: torch.Tensor, plan: SpecAugmentPlan) -> torch.Tensor:
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
    freq_masks, freq_share, time_masks, time_share, probability
        As for ``draw_spec_augment``.
    freq_width, time_width : int, optional
        Numbers of mel bins and frames instead of shares, as the settings of runs of version 0.1 have them. They cover
        another share of the time when ``frames`` changes.

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

    def __init__(
        self,
        freq_masks: int = 2,
        freq_share: float = FREQ_SHARE,
        time_masks: int = 2,
        time_share: float = TIME_SHARE,
        probability: float = 1.0,
        freq_width: int | None = None,
        time_width: int | None = None,
    ):
        super().__init__()
        for axis, width in (("freq", freq_width), ("time", time_width)):
            if width is not None and width < 1:
                raise LungSRADError(f"{axis}_width={width}: expected at least 1, or None and a share")
        self.freq_masks = freq_masks
        self.freq_share = freq_share
        self.time_masks = time_masks
        self.time_share = time_share
        self.probability = probability
        self.freq_width = freq_width
        self.time_width = time_width

    def forward(self, feats: torch.Tensor) -> torch.Tensor:
        """Return the features, masked while training."""
        if not self.training:
            return feats
        frames, mels = feats.shape[1:]
        plan = draw_spec_augment(
            len(feats),
            (frames, mels),
            self.freq_masks,
            self.freq_share if self.freq_width is None else min(self.freq_width / mels, 1.0),
            self.time_masks,
            self.time_share if self.time_width is None else min(self.time_width / frames, 1.0),
            self.probability,
        )
        return apply_spec_augment(feats, plan)

    def extra_repr(self) -> str:
        return (
            f"freq_masks={self.freq_masks}, freq_share={self.freq_share:g}, time_masks={self.time_masks}, "
            f"time_share={self.time_share:g}, probability={self.probability}"
        )
