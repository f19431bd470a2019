"""Patch-Mix: part of each activation map is replaced by the same part of another sample's map.

Randomness is drawn first, into a plan, and applied afterwards, so that the same plan can be inspected, repeated and
used by the loss. ``"time"`` and ``"frequency"`` replace one run of columns or rows (Lung-SRAD, arXiv 2606.11922);
``"patch"`` replaces patches anywhere on the grid (Bae et al., "Patch-Mix Contrastive Learning with Audio Spectrogram
Transformer on Respiratory Sound Classification", Interspeech 2023, arXiv 2305.14032).
"""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from lung_srad_plugin.errors import LungSRADError

AXES = ("time", "frequency", "patch")


@dataclass(frozen=True)
class PatchMixPlan:
    """Which part of every map is replaced, and by whose.

    Arguments
    ---------
    axis : str
        ``"time"`` (columns), ``"frequency"`` (rows) or ``"patch"`` (single positions).
    size : tuple of int
        ``(H, W)`` of the maps the plan was drawn for.
    index : torch.Tensor
        (B,) int64, a permutation: sample ``i`` is mixed with sample ``index[i]``.
    length : int
        How many columns, rows or patches are replaced.
    start : int or None
        The first replaced column or row; None for ``"patch"``.
    patches : torch.Tensor or None
        (H, W) bool, True where a patch is replaced, the same for the whole batch; None unless ``axis="patch"``.
    """

    axis: str
    size: tuple
    index: torch.Tensor
    length: int
    start: int | None = None
    patches: torch.Tensor | None = None

    @property
    def lam(self) -> float:
        """The share of each map that stays its own, exactly: a float from 0 to 1."""
        return 1 - self.length / _extent(self.axis, self.size)


def _extent(axis, size):
    height, width = size
    return {"time": width, "frequency": height, "patch": height * width}[axis]


def draw_patch_mix(
    batch: int,
    size: tuple[int, int],
    axis: str,
    beta: float = 1.0,
    generator: torch.Generator | None = None,
) -> PatchMixPlan:
    """Draw one mixing ratio, one permutation and one position for a whole batch.

    ``lambda ~ Beta(beta, beta)`` is the share to keep; ``floor(n * (1 - lambda))`` of the ``n`` columns (rows, patches)
    are replaced. A run of columns or rows starts uniformly wherever it fits; patches are drawn without replacement.

    Arguments
    ---------
    batch : int
        Number of samples, B.
    size : tuple of int
        ``(H, W)`` of the activation maps: H frequency rows, W time columns.
    axis : str
        ``"time"``, ``"frequency"`` or ``"patch"``.
    beta : float
        Both parameters of the Beta distribution; 1 draws lambda uniformly.
    generator : torch.Generator, optional
        The source of randomness; torch's global one when None. The plan's tensors lie on its device.

    Returns
    -------
    PatchMixPlan

    Raises
    ------
    LungSRADError
        Where ``axis`` is unknown, ``beta`` is not positive, or ``batch`` or ``size`` are not positive integers.

    Example
    -------
    >>> plan = draw_patch_mix(4, size=(32, 256), axis="time", generator=torch.Generator().manual_seed(0))
    >>> plan.lam == 1 - plan.length / 256
    True
    >>> sorted(plan.index.tolist())
    [0, 1, 2, 3]
    """
    if axis not in AXES:
        raise LungSRADError(f"Patch-Mix axis {axis!r} is unknown; expected one of {', '.join(AXES)}")
    if not (math.isfinite(beta) and beta > 0):
        raise LungSRADError(f"Patch-Mix beta={beta}: expected a number above 0")
    if not all(isinstance(n, int) and n > 0 for n in (batch, *size)) or len(size) != 2:
        raise LungSRADError(f"Patch-Mix batch={batch}, size={size}: expected positive integers B and (H, W)")

    device = generator.device if generator is not None else "cpu"
    # torch's Beta takes no generator; numpy's is seeded from ours, so one generator decides everything.
    seed = int(torch.randint(2**63 - 1, (), generator=generator, device=device))
    lam = np.random.default_rng(seed).beta(beta, beta)
    index = torch.randperm(batch, generator=generator, device=device)
    extent = _extent(axis, size)
    length = math.floor(extent * (1 - lam))
    if axis == "patch":
        order = torch.randperm(extent, generator=generator, device=device)
        return PatchMixPlan(axis, tuple(size), index, length, patches=(order < length).view(size))
    start = int(torch.randint(extent - length + 1, (), generator=generator, device=device))
    return PatchMixPlan(axis, tuple(size), index, length, start=start)


def apply_patch_mix(maps: torch.Tensor, plan: PatchMixPlan) -> torch.Tensor:
    """Return the maps with the plan's part replaced by the partners'; the given maps are left as they are.

    Gradients flow to both partners. The memory format is kept (``channels_last`` stays ``channels_last``).

    Arguments
    ---------
    maps : torch.Tensor
        (B, C, H, W) activation maps.
    plan : PatchMixPlan
        From ``draw_patch_mix`` with the same B and (H, W).

    Returns
    -------
    torch.Tensor
        (B, C, H, W) mixed maps.

    Raises
    ------
    LungSRADError
        Where the plan was drawn for another batch or size.

    Example
    -------
    >>> maps = torch.tensor([[1.0, 1, 1, 1], [2, 2, 2, 2]]).view(2, 1, 1, 4)
    >>> plan = PatchMixPlan("time", size=(1, 4), index=torch.tensor([1, 0]), length=2, start=1)
    >>> apply_patch_mix(maps, plan).view(2, 4).tolist()
    [[1.0, 2.0, 2.0, 1.0], [2.0, 1.0, 1.0, 2.0]]
    >>> plan.lam
    0.5
    """
    if maps.dim() != 4 or len(maps) != len(plan.index) or tuple(maps.shape[2:]) != plan.size:
        raise LungSRADError(
            f"Patch-Mix plan for {len(plan.index)} maps of size {plan.size} cannot be applied to a tensor of shape "
            f"{tuple(maps.shape)}; draw it with batch and size of the (B, C, H, W) maps it is meant for"
        )
    index = plan.index.to(maps.device)
    if plan.patches is not None:
        keep = ~plan.patches.to(maps.device)
        return torch.where(keep, maps, maps.index_select(0, index))
    dim = 3 if plan.axis == "time" else 2
    start = cast(int, plan.start)
    partners = maps.narrow(dim, start, plan.length).index_select(0, index)
    return maps.slice_scatter(partners, dim, start, start + plan.length)
