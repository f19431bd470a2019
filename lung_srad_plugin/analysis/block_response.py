"""How a whole block answers to waves: its Jacobian times Fourier modes, measured by forward differentiation.

A mixing matrix describes the scan or the attention of a block with everything that it computes from its input held
fixed. The block does more: step sizes and weights change with the input, and a convolution, norms, an MLP and residual
sums are around it. For a small wave on top of a given input, all of that together is the Jacobian of the block there.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from lung_srad_plugin.analysis.mixing_layers import as_map, first_tensor
from lung_srad_plugin.encoders.dass.ss2d import SS2D
from lung_srad_plugin.errors import LungSRADError


class BlockResponse(NamedTuple):
    """The answer of a block to waves.

    Arguments
    ---------
    gain : torch.Tensor
        (modes,) root of the energy that comes out, relative to that of the wave that goes in.
    kept : torch.Tensor
        (modes,) share, from 0 to 1, of what comes out that has the wave's own frequency; NaN where nothing comes out.
    """

    gain: torch.Tensor
    kept: torch.Tensor


def axis_modes(size: tuple[int, int]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the frequencies (i, j) of all waves along the frequency axis alone, and of all along the time axis alone.

    Example
    -------
    >>> axis_modes((2, 4))
    ([(0, 0), (1, 0)], [(0, 0), (0, 1), (0, 2)])
    """
    height, width = size
    return [(i, 0) for i in range(height // 2 + 1)], [(0, j) for j in range(width // 2 + 1)]


def block_response(
    block: torch.nn.Module,
    x: torch.Tensor,
    size: tuple[int, int],
    modes: Sequence[tuple[int, int]],
    probes: torch.Tensor | None = None,
    batch_size: int = 8,
) -> BlockResponse:
    """Measure how a block answers to small waves on top of its input, by Jacobian-vector products.

    A wave (i, j) has i cycles per H positions along frequency and j cycles per W positions along time; it goes in as a
    cosine and as a sine, times a vector over channels. ``torch.func.jvp`` gives the product of the Jacobian at ``x``
    with it, exactly up to rounding; nothing is approximated by differences. The scan is computed by its definition
    meanwhile, since the compiled kernels have no forward derivative, and attention by its formula.

    Energies are summed over cosine, sine and probes before they are divided. With the unit vectors of all channels as
    probes, the squared gain is the mean over channels of what the block makes of the wave; random signs, the default,
    have that as their expectation.

    Arguments
    ---------
    block : torch.nn.Module
        In evaluation mode; takes and returns a map (1,C,H,W) or tokens (1,tokens,C), those of the map last.
    x : torch.Tensor
        Its input for one clip.
    size : (int, int)
        (H, W).
    modes : sequence of (int, int)
        Such as of ``axis_modes``.
    probes : torch.Tensor, optional
        (P, C) vectors over channels. By default two of random signs, the same in every call.
    batch_size : int
        Waves that go through the block at once.

    Returns
    -------
    BlockResponse

    Raises
    ------
    LungSRADError
        Where ``x`` is of another shape, or the block is in training mode.

    Example
    -------
    >>> from lung_srad_plugin.encoders.dass.block import Block
    >>> block = Block(dim=16).eval()
    >>> block_response(block, torch.randn(1, 16, 4, 8), (4, 8), modes=[(0, 0), (0, 4)]).gain.shape
    torch.Size([2])
    """
    _check(block, x, size)
    channels = x.shape[1] if x.dim() == 4 else x.shape[2]
    if probes is None:
        signs = torch.randint(0, 2, (2, channels), generator=torch.Generator().manual_seed(0))
        probes = (2 * signs - 1).to(x)
    waves, wave_of = _waves(size, modes, probes, x)
    parameters = {name: value.detach() for name, value in block.named_parameters()}

    def run(tokens):
        return first_tensor(torch.func.functional_call(block, parameters, (tokens,)))

    energies = torch.zeros(3, len(modes), dtype=torch.float64)
    # Layers fuse operations only where no gradients are computed, and what is fused has no forward derivative.
    with torch.enable_grad(), _differentiable(block):
        for first in range(0, len(waves), batch_size):
            part = waves[first : first + batch_size]
            _, out, *_ = torch.func.jvp(run, (x.repeat(len(part), *[1] * (x.dim() - 1)),), (_as_input(part, x),))
            spectrum = torch.fft.fft2(as_map(out.detach(), size).double(), norm="ortho").abs().square().sum(dim=1)
            for index, wave in enumerate(part):
                mode = int(wave_of[first + index])
                i, j = modes[mode]
                own = {(i % size[0], j % size[1]), (-i % size[0], -j % size[1])}
                energies[0, mode] += wave.double().square().sum().cpu()
                energies[1, mode] += spectrum[index].sum().cpu()
                energies[2, mode] += sum(spectrum[index][place].cpu() for place in own)
    return BlockResponse((energies[1] / energies[0]).sqrt(), energies[2] / energies[1])


def _waves(size, modes, probes, x):
    """Return all waves (waves,C,H,W), and the index of the mode of each; a sine that is 0 everywhere is left out."""
    height, width = size
    waves, wave_of = [], []
    for index, (i, j) in enumerate(modes):
        along_frequency = torch.arange(height, dtype=torch.float64)[:, None] * i / height
        along_time = torch.arange(width, dtype=torch.float64)[None, :] * j / width
        phase = 2 * torch.pi * (along_frequency + along_time)
        for wave in (phase.cos(), phase.sin()):
            if wave.abs().max() > 1e-6:
                waves += [probe[:, None, None] * wave.to(x) for probe in probes.to(x)]
                wave_of += [index] * len(probes)
    return torch.stack(waves), wave_of


def _as_input(waves, x):
    """Return waves (n,C,H,W) in the form of the block's input; further tokens do not move."""
    if x.dim() == 4:
        return waves
    tokens = torch.zeros(len(waves), *x.shape[1:], dtype=x.dtype, device=x.device)
    tokens[:, -waves.shape[2] * waves.shape[3] :] = waves.flatten(2).mT
    return tokens


@contextmanager
def _differentiable(block: torch.nn.Module) -> Iterator[None]:
    scans = [module for module in block.modules() if isinstance(module, SS2D)]
    before = [scan.scan_backend for scan in scans]
    for scan in scans:
        scan.scan_backend = "reference"
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for scan, backend in zip(scans, before, strict=True):
            scan.scan_backend = backend


def _check(block, x, size):
    positions = size[0] * size[1]
    fits = tuple(x.shape[2:]) == tuple(size) if x.dim() == 4 else x.dim() == 3 and x.shape[1] >= positions
    if not fits or len(x) != 1:
        raise LungSRADError(
            f"x of shape {tuple(x.shape)}: expected (1, channels, {size[0]}, {size[1]}), or (1, tokens, channels) with "
            f"at least {positions} tokens"
        )
    if block.training:
        raise LungSRADError(f"{type(block).__name__} is in training mode, where it is random; call its eval() first")
