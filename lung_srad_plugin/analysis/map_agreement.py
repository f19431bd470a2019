"""Numbers on maps: how far two agree, and whether a decision depends on what a map points to."""

from collections.abc import Sequence

import torch

from lung_srad_plugin.analysis.decision import Decision, baseline
from lung_srad_plugin.analysis.map_cells import MapCells
from lung_srad_plugin.errors import LungSRADError

TOP_SHARE = 0.1
REMOVED_SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)


def rank_correlation(first: torch.Tensor, second: torch.Tensor) -> float | None:
    """Return Spearman's rank correlation of two maps over their cells, None where one is constant.

    Example
    -------
    >>> rank_correlation(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 4.0], [9.0, 16.0]]))
    1.0
    """
    from scipy.stats import spearmanr

    _check_shapes(first, second)
    flat = [values.flatten().double().cpu().numpy() for values in (first, second)]
    if any(values.min() == values.max() for values in flat):
        return None
    return float(spearmanr(*flat).statistic)


def top_overlap(first: torch.Tensor, second: torch.Tensor, share: float = TOP_SHARE) -> float:
    """Return which share of one map's highest cells are among the other's highest; by chance it is ``share``.

    Example
    -------
    >>> top_overlap(torch.tensor([[4.0, 3.0], [2.0, 1.0]]), torch.tensor([[4.0, 1.0], [2.0, 3.0]]), share=0.5)
    0.5
    """
    _check_shapes(first, second)
    count = _cell_count(share, first.numel())
    highest = [set(values.flatten().argsort(descending=True)[:count].tolist()) for values in (first, second)]
    return len(highest[0] & highest[1]) / count


@torch.no_grad()
def removal_falls(
    decision: Decision,
    feats: torch.Tensor,
    cells: MapCells,
    values: torch.Tensor,
    shares: Sequence[float] = REMOVED_SHARES,
) -> list[float]:
    """Return by how much the log-odds fall where the cells with the highest values are set to the clip's mean.

    Arguments
    ---------
    decision : Decision
    feats : torch.Tensor
        (1,T,F) normalised.
    cells : MapCells
        Of the features.
    values : torch.Tensor
        (rows, columns) a map.
    shares : sequence of float
        How many of the cells are removed, each from 0 to 1.

    Returns
    -------
    list of float
        One for each share.
    """
    order = values.flatten().argsort(descending=True)
    clips = [feats]
    for share in shares:
        removed = torch.zeros(len(order), dtype=torch.bool, device=order.device)
        removed[order[: _cell_count(share, len(order))]] = True
        clips.append(torch.where(removed.to(feats.device)[cells.of_position.to(feats.device)], baseline(feats), feats))
    log_odds = decision(torch.cat(clips))
    return (log_odds[0] - log_odds[1:]).tolist()


def random_falls(
    decision: Decision,
    feats: torch.Tensor,
    cells: MapCells,
    generator: torch.Generator,
    draws: int = 5,
    shares: Sequence[float] = REMOVED_SHARES,
) -> list[float]:
    """Return the mean of ``removal_falls`` over random orders of the cells: what a map has to exceed."""
    size = cells.rows, cells.columns
    falls = [removal_falls(decision, feats, cells, torch.rand(size, generator=generator), shares) for _ in range(draws)]
    return [sum(column) / draws for column in zip(*falls, strict=True)]


def _cell_count(share, cells):
    return max(1, round(share * cells))


def _check_shapes(first, second):
    if first.shape != second.shape:
        raise LungSRADError(f"maps of {tuple(first.shape)} and {tuple(second.shape)} cells; expected the same cells")
