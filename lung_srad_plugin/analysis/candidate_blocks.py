"""Which blocks to smooth: the guide that finds the peaks of response curves, where the paper chose by eye."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from lung_srad_plugin.analysis.spectra import BlockSpectrum
from lung_srad_plugin.errors import LungSRADError

COUNT = 2
"""How many blocks of a stage the paper smooths."""


@dataclass(frozen=True)
class Candidate:
    """A block in the ranking of its stage.

    Arguments
    ---------
    stage, block : int
    peak : float
        Height of the highest peak of its curve above the curve around it, from 0 to 1: mean over cycles.
    spread : float
        Standard deviation over cycles; NaN for one cycle.
    selected : bool
        Whether it is among the first of its stage.
    share : float
        In which share of the resamples of cycles it would have been.
    """

    stage: int
    block: int
    peak: float
    spread: float
    selected: bool
    share: float


def peak_height(response: np.ndarray) -> float:
    """Return how far the highest peak of a response curve stands out of the curve around it.

    The curve is scaled to span 0 to 1, as ``spectral_response`` does. The height of a peak is its prominence: how far
    one must descend from it before the curve rises to something higher. Its ends are no peaks, so neither the constant
    nor a curve that only falls counts.

    Arguments
    ---------
    response : numpy.ndarray
        (bins,).

    Returns
    -------
    float
        From 0, without a peak, to 1.

    Example
    -------
    >>> peak_height(np.array([4.0, 1.0, 0.0, 3.0, 1.0])), peak_height(np.array([4.0, 2.0, 1.0, 0.0]))
    (0.5, 0.0)
    """
    low, high = response.min(), response.max()
    if not high > low:
        return 0.0
    _, found = find_peaks((response - low) / (high - low), prominence=0)
    return float(found["prominences"].max(initial=0.0))


def rank_blocks(
    spectra: Sequence[BlockSpectrum], count: int = COUNT, resamples: int = 1000, seed: int = 0
) -> list[Candidate]:
    """Rank the blocks of each stage as candidates for smoothing: those whose curves have the highest peaks come first.

    The paper smooths two blocks whose responses show peaks, and chose them by eye. Here the curve is the response along
    the flattened positions, before smoothing, and its peak is measured by ``peak_height`` for each cycle. The same
    cycles give the same ranking; how far it depends on them, resamples of the cycles tell. Whether smoothing these
    blocks helps a classifier, only training tells.

    Arguments
    ---------
    spectra : sequence of BlockSpectrum
    count : int
        How many blocks of each stage to select.
    resamples, seed : int
        Of the cycles, with replacement.

    Returns
    -------
    list of Candidate
        Stage by stage, the highest peak first; of equal ones the earlier block.

    Raises
    ------
    LungSRADError
        Where a number is below 1.
    """
    if count < 1 or resamples < 1:
        raise LungSRADError(f"count={count}, resamples={resamples}: expected at least 1 of each")
    ranked = []
    for stage in sorted({one.stage for one in spectra}):
        blocks = [one for one in spectra if one.stage == stage]
        peaks = np.array([[peak_height(row) for row in one.before.response["positions"]] for one in blocks])
        cycles = peaks.shape[1]
        draws = np.random.default_rng(seed).integers(0, cycles, (resamples, cycles))
        firsts = np.argsort(-peaks[:, draws].mean(axis=2), axis=0, kind="stable")[:count]
        shares = [(firsts == index).any(axis=0).mean() for index in range(len(blocks))]
        order = np.argsort(-peaks.mean(axis=1), kind="stable")
        for rank, index in enumerate(order):
            ranked.append(
                Candidate(
                    stage=stage,
                    block=blocks[index].block,
                    peak=float(peaks[index].mean()),
                    spread=float(peaks[index].std(ddof=1)) if cycles > 1 else float("nan"),
                    selected=rank < count,
                    share=float(shares[index]),
                )
            )
    return ranked


def selected_blocks(ranked: Sequence[Candidate]) -> list[Candidate]:
    """Return the selected blocks of those stages that leave a choice, having further ones.

    Example
    -------
    >>> ranked = [Candidate(0, 0, 0.5, 0.1, True, 1.0), Candidate(1, 1, 0.4, 0.1, True, 0.9)]
    >>> [one.block for one in selected_blocks([*ranked, Candidate(1, 0, 0.2, 0.1, False, 0.1)])]
    [1]
    """
    with_choice = {one.stage for one in ranked if not one.selected}
    return [one for one in ranked if one.selected and one.stage in with_choice]
