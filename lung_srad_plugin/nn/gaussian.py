"""Gaussian smoothing of activation maps, as a function and as a wrapper around any module.

The paper smooths activation maps of two blocks in the third stage, so that what DASS mixes over positions varies slowly
over frequency and time. Which map of a block that is, and what counts beyond its border, are this package's reading:
the code that its first author has published contains a smoothing function, but never calls it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from lung_srad_plugin.encoders.base import ActivationMap, Encoder
from lung_srad_plugin.errors import LungSRADError

PADDINGS = ("zeros", "replicate")


def gaussian_smooth(
    map: torch.Tensor, kernel_size: int = 5, sigma: float = 3.0, padding: str = "zeros"
) -> torch.Tensor:
    """Smooth each channel of a map with a normalised 1-D Gaussian over frequency, then one over time.

    The weights of each Gaussian are ``exp(-d**2 / (2 sigma**2))`` for the distances ``d = -K//2, ..., K//2`` in map
    positions, divided by their sum. Both passes together are one depthwise convolution with the outer product of the
    two, which is faster than two convolutions.

    Arguments
    ---------
    map : torch.Tensor
        (B,C,H,W); H is frequency, W is time.
    kernel_size : int
        Odd number K of positions under each Gaussian.
    sigma : float
        Standard deviation, in map positions.
    padding : str
        What counts outside the map. ``"zeros"`` (as in the published function) dampens the borders: of a constant map
        of 8 by 64 positions it keeps 0.37 in the corners and 0.84 on average. ``"replicate"``, the nearest value of the
        map, leaves a constant map as it is.

    Returns
    -------
    torch.Tensor
        (B,C,H,W), in the memory layout of ``map``.

    Raises
    ------
    LungSRADError
        Where the kernel is even or not positive, sigma is not positive, the padding does not exist, or the map is not
        of rank 4.

    Example
    -------
    >>> impulse = torch.zeros(1, 1, 3, 3)
    >>> impulse[0, 0, 1, 1] = 1
    >>> gaussian_smooth(impulse, kernel_size=3, sigma=0.5)[0, 0]
    tensor([[0.0113, 0.0838, 0.0113],
            [0.0838, 0.6193, 0.0838],
            [0.0113, 0.0838, 0.0113]])
    """
    _check_gaussian(kernel_size, sigma, padding)
    if map.dim() != 4:
        raise LungSRADError(f"map of shape {tuple(map.shape)}: expected (batch, channels, frequency, time)")
    distance = torch.arange(kernel_size, device=map.device, dtype=torch.float32) - kernel_size // 2
    weights = torch.softmax(-(distance**2) / (2 * sigma**2), dim=0)
    kernel = torch.outer(weights, weights).to(map.dtype)
    channels = map.shape[1]
    kernel = kernel.expand(channels, 1, -1, -1)
    margin = kernel_size // 2
    if padding == "replicate":
        return F.conv2d(_replicate_border(map, margin), kernel, groups=channels)
    return F.conv2d(map, kernel, padding=margin, groups=channels)


def _replicate_border(map, margin):
    """Surround the last two dimensions with copies of the border; F.pad's gradient is not deterministic on a GPU."""
    for dim in (2, 3):
        first, last = map.narrow(dim, 0, 1), map.narrow(dim, map.shape[dim] - 1, 1)
        map = torch.cat([first] * margin + [map] + [last] * margin, dim=dim)
    return map


def _check_gaussian(kernel_size, sigma, padding):
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise LungSRADError(f"kernel_size={kernel_size}: a Gaussian centred on a position needs an odd size, 1 or more")
    if not sigma > 0:
        raise LungSRADError(f"sigma={sigma}: expected a standard deviation above 0, in map positions")
    if padding not in PADDINGS:
        raise LungSRADError(f"padding={padding!r}: expected one of {', '.join(PADDINGS)}")


class GaussianSmoothed(torch.nn.Module):
    """A module whose output map is smoothed, in training and in evaluation.

    Smoothing has no weights, so the state dict is that of the wrapped module, under the same names: a checkpoint saved
    with smoothing loads without it, and the reverse.

    Arguments
    ---------
    module : torch.nn.Module
        Its output is one map.
    kernel_size, sigma, padding
        As for ``gaussian_smooth``.
    channels_last : bool
        True where the module's output is (B,H,W,C) rather than (B,C,H,W).

    Example
    -------
    >>> smoothed = GaussianSmoothed(torch.nn.Conv2d(3, 8, 1))
    >>> smoothed(torch.randn(2, 3, 16, 20)).shape
    torch.Size([2, 8, 16, 20])
    >>> list(smoothed.state_dict())
    ['weight', 'bias']
    """

    def __init__(
        self,
        module: torch.nn.Module,
        kernel_size: int = 5,
        sigma: float = 3.0,
        channels_last: bool = False,
        padding: str = "zeros",
    ):
        super().__init__()
        _check_gaussian(kernel_size, sigma, padding)
        self.module = module
        self.kernel_size = kernel_size
        self.sigma = sigma
        self.channels_last = channels_last
        self.padding = padding
        self.register_load_state_dict_pre_hook(_add_module_prefix)

    def forward(self, *args, **kwargs):
        """Call the module with these arguments and smooth what it returns."""
        map = self.module(*args, **kwargs)
        if not self.channels_last:
            return gaussian_smooth(map, self.kernel_size, self.sigma, self.padding)
        channels_first = map.permute(0, 3, 1, 2)
        return gaussian_smooth(channels_first, self.kernel_size, self.sigma, self.padding).permute(0, 2, 3, 1)

    def state_dict(self, *args, **kwargs):
        """Return the wrapped module's state dict."""
        return self.module.state_dict(*args, **kwargs)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, sigma={self.sigma}, padding={self.padding}"


def _add_module_prefix(wrapper, state_dict, prefix, *_):
    """Rename ``prefix + key`` to ``prefix + "module." + key``, where loading looks for the wrapped module's weights."""
    for key in [key for key in state_dict if key.startswith(prefix)]:
        state_dict[f"{prefix}module.{key[len(prefix) :]}"] = state_dict.pop(key)


def smooth_blocks(
    encoder: Encoder,
    stage: int = 2,
    blocks: Sequence[int] = (2, 3),
    kernel_size: int = 5,
    sigma: float = 3.0,
    target: str = "ss2d",
    padding: str = "zeros",
) -> Encoder:
    """Smooth the maps of some blocks of an encoder.

    Stage, blocks, kernel and sigma are the paper's. Target and padding are this package's reading of it.

    In a yaml file: ``encoder: !apply:lung_srad_plugin.smooth_blocks`` with these arguments below it.

    Arguments
    ---------
    encoder : Encoder
        Such as a ``DASSEncoder``; changed in place.
    stage : int
        Index of the stage, from 0.
    blocks : list of int
        Indices of its blocks, from 0.
    kernel_size, sigma, padding
        As for ``gaussian_smooth``.
    target : str
        ``"ss2d"`` smooths the output of the block's SS2D layer, before the residual sum; ``"block"`` that of the whole
        block. Other encoders name their own part of a block in place of ``"ss2d"``.

    Returns
    -------
    Encoder
        The encoder.

    Raises
    ------
    LungSRADError
        Where stage, block or target does not exist, or the map is smoothed already; nothing is changed then.

    Example
    -------
    >>> from lung_srad_plugin.encoders.dass.encoder import DASSEncoder
    >>> encoder = smooth_blocks(DASSEncoder(depths=[1, 3], dims=[16, 32]), stage=1, blocks=[1, 2])
    >>> encoder.map_module(ActivationMap(stage=1, block=2, target="ss2d")).sigma
    3.0
    """
    maps = encoder.activation_maps()
    if not maps and not blocks:
        return encoder
    if not maps:
        raise LungSRADError(f"blocks={list(blocks)}: the encoder has no maps to smooth; set gaussian_blocks to []")
    targets = list(dict.fromkeys(one.target for one in maps))
    if target not in targets:
        raise LungSRADError(f"target={target!r}: expected one of {', '.join(targets)}")
    stages = {one.stage for one in maps}
    if stage not in stages:
        raise LungSRADError(f"stage={stage}: the encoder has stages 0 to {max(stages)}")
    in_stage = {one.block for one in maps if one.stage == stage}
    for block in blocks:
        if block not in in_stage:
            raise LungSRADError(f"block {block}: stage {stage} of the encoder has blocks 0 to {max(in_stage)}")
    of_blocks = [one for one in maps if one.stage == stage and one.block in blocks]
    smoothed = any(isinstance(encoder.map_module(one), GaussianSmoothed) for one in of_blocks)
    if len(set(blocks)) < len(blocks) or smoothed:
        raise LungSRADError(f"blocks={list(blocks)} of stage {stage}: a block is smoothed once; one of them is already")
    for block in blocks:
        encoder.wrap_map(
            ActivationMap(stage, block, target),
            lambda module: GaussianSmoothed(module, kernel_size, sigma, padding=padding),
        )
    return encoder
