"""The spectra of a model: what each block passes on, before and after smoothing, for each of some cycles."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lung_srad_plugin.analysis.block_response import axis_modes, block_response
from lung_srad_plugin.analysis.feature_spectra import CUTOFF, energy_above
from lung_srad_plugin.analysis.mean_mixing import mean_mixing
from lung_srad_plugin.analysis.mixing_layers import MixingLayer, Passed, as_map, mixing_layers, run_clip
from lung_srad_plugin.analysis.retention import frequency_retention
from lung_srad_plugin.analysis.smoothing import smooth_mixing
from lung_srad_plugin.analysis.spectral import along_axes, unscaled_response
from lung_srad_plugin.encoders.base import Encoder
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.nn.gaussian import GaussianSmoothed

AXES = ("positions", "frequency", "time")
"""Along what a curve's frequencies are: the flattened positions of the map, as in the paper, or one of its axes."""

_BYTES = 20  # for each pair of positions, at the most at any time: the matrix and its transform, or its smoothing


@dataclass(frozen=True)
class Smoothing:
    """Gaussian smoothing; arguments and what is refused as for ``gaussian_smooth``."""

    kernel_size: int = 5
    sigma: float = 3.0
    padding: str = "zeros"

    def __post_init__(self):
        GaussianSmoothed(torch.nn.Identity(), self.kernel_size, self.sigma, padding=self.padding)


@dataclass(frozen=True)
class Curves:
    """What a layer passes on, a row for each cycle.

    Arguments
    ---------
    response : dict
        By axis of ``AXES``, (cycles, bins) unscaled responses; bin k of an axis of n positions is k / n cycles per
        position.
    retention : numpy.ndarray
        (cycles, 3) frequency retention: over both axes, along frequency, along time.
    """

    response: dict[str, np.ndarray]
    retention: np.ndarray


@dataclass(frozen=True)
class WholeBlock:
    """The measured response of a whole block: gains and kept shares, (cycles, bins) by axis frequency or time."""

    gain: dict[str, np.ndarray]
    kept: dict[str, np.ndarray]


@dataclass(frozen=True)
class BlockSpectrum:
    """The spectra of one block over all cycles.

    Arguments
    ---------
    stage, block : int
    size : (int, int)
        (H, W) of its map.
    smoothed : bool
        Whether the model smooths this block; ``after`` is then with its own smoothing, otherwise with what was asked.
    before, after : Curves
        Of the mixing matrix, the mean over channels or heads, without smoothing and with it.
    energy : numpy.ndarray
        (cycles, 2) share of the energy of the block's output above the cutoff, along frequency and along time.
    whole : WholeBlock or None
        Where it was asked for.
    """

    stage: int
    block: int
    size: tuple[int, int]
    smoothed: bool
    before: Curves
    after: Curves
    energy: np.ndarray
    whole: WholeBlock | None

    @property
    def name(self) -> str:
        """``STAGE.BLOCK``."""
        return f"{self.stage}.{self.block}"


def measure_spectra(
    encoder: Encoder,
    clips: Iterable[torch.Tensor],
    blocks: Sequence[str] | None = None,
    smoothing: Smoothing | None = None,
    cutoff: float = CUTOFF,
    whole_blocks: bool = False,
    max_bytes: int = 2 * 2**30,
    progress: Callable[[], object] | None = None,
) -> list[BlockSpectrum]:
    """Measure the spectra of an encoder's blocks.

    The mixing matrix of a block is the mean over the channels of its SS2D layer, or over the heads of its attention;
    tokens that belong to no position are left out.

    Arguments
    ---------
    encoder : Encoder
        In evaluation mode.
    clips : iterable of torch.Tensor
        Features (1,T,F) of one cycle each, at least one, all of one size.
    blocks : sequence of str, optional
        As for ``mixing_layers``.
    smoothing : Smoothing, optional
        For blocks that the model does not smooth itself; by default the paper's.
    cutoff : float
        Of retention and energy, in cycles per position.
    whole_blocks : bool
        Measure ``block_response`` as well, which takes far longer.
    max_bytes : int
        Most memory for the matrices of one block; what would need more is refused before anything is computed.
    progress : callable, optional
        Called after each cycle.

    Returns
    -------
    list of BlockSpectrum

    Raises
    ------
    LungSRADError
        Where a block does not exist or nothing in the encoder mixes, more memory is needed, or there is no clip.

    Example
    -------
    >>> from lung_srad_plugin.encoders.dass.encoder import DASSEncoder
    >>> encoder = DASSEncoder([1, 1], [16, 32]).eval()
    >>> spectra = measure_spectra(encoder, [torch.randn(1, 64, 32)], blocks=["1.0"])
    >>> spectra[0].size, spectra[0].before.response["time"].shape
    ((4, 8), (1, 5))
    """
    smoothing = smoothing or Smoothing()
    layers = mixing_layers(encoder, blocks)
    found: list[list[dict[str, np.ndarray]]] = [[] for _ in layers]
    sizes: list[tuple[int, int]] = []
    for feats in clips:
        passed = run_clip(encoder, feats, layers)
        if not sizes:
            sizes = [one.size for one in passed]
            _check_memory(layers, sizes, max_bytes)
        for rows, layer, one in zip(found, layers, passed, strict=True):
            rows.append(_measure(layer, one, smoothing, cutoff, whole_blocks, max_bytes))
        if progress is not None:
            progress()
    if not sizes:
        raise LungSRADError("no clips: expected the features of at least one cycle")
    return [_gather(*one, whole_blocks) for one in zip(layers, sizes, found, strict=True)]


def _check_memory(layers, sizes, max_bytes):
    needed = {layer.name: _BYTES * (size[0] * size[1]) ** 2 for layer, size in zip(layers, sizes, strict=True)}
    too_large = [name for name, count in needed.items() if count > max_bytes]
    if too_large:
        fitting = [name for name in needed if name not in too_large]
        cure = f"--blocks with some of {', '.join(fitting)}, or " if fitting else ""
        raise LungSRADError(
            f"blocks {', '.join(too_large)}: a matrix of all pairs of positions and its transform need up to "
            f"{max(needed.values()):,} bytes, more than {max_bytes:,}; choose {cure}a higher limit"
        )


def _measure(layer: MixingLayer, passed: Passed, smoothing, cutoff, whole_blocks, max_bytes):
    """Return everything of one block and cycle, arrays by name."""
    own = layer.smoothing
    used = smoothing if own is None else Smoothing(own.kernel_size, own.sigma, own.padding)
    positions = passed.size[0] * passed.size[1]
    mixing = mean_mixing(layer.module, passed.u, max_bytes=max_bytes)[0, -positions:, -positions:].float()
    values = {f"before {name}": value for name, value in _curves(mixing, passed.size, cutoff).items()}
    mixing = smooth_mixing(mixing, passed.size[1], used.kernel_size, used.sigma, used.padding)
    values |= {f"after {name}": value for name, value in _curves(mixing, passed.size, cutoff).items()}
    energy = energy_above(as_map(passed.block_output, passed.size)[0], (cutoff,))
    values["energy"] = torch.cat(energy).cpu().numpy()
    if whole_blocks:
        for axis, modes in zip(("frequency", "time"), axis_modes(passed.size), strict=True):
            response = block_response(layer.whole_block, passed.block_input, passed.size, modes)
            values |= {f"gain {axis}": response.gain.numpy(), f"kept {axis}": response.kept.numpy()}
    return values


def _curves(mixing, size, cutoff):
    response = unscaled_response(mixing, size)
    along_frequency, along_time = along_axes(response, size)
    return {
        "positions": unscaled_response(mixing, (len(mixing),)).cpu().numpy(),
        "frequency": along_frequency.numpy(),
        "time": along_time.numpy(),
        "retention": np.array(frequency_retention(response, size, cutoff)),
    }


def _gather(layer, size, rows, whole_blocks):
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def by_axis(what, axes):
        return {axis: stacked[f"{what} {axis}"] for axis in axes}

    whole = WholeBlock(by_axis("gain", AXES[1:]), by_axis("kept", AXES[1:])) if whole_blocks else None
    return BlockSpectrum(
        stage=layer.stage,
        block=layer.block,
        size=size,
        smoothed=layer.smoothing is not None,
        before=Curves(by_axis("before", AXES), stacked["before retention"]),
        after=Curves(by_axis("after", AXES), stacked["after retention"]),
        energy=stacked["energy"],
        whole=whole,
    )
