"""Maps of one clip by several methods, and the numbers that say how far to trust them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from lung_srad_plugin.analysis.captum_maps import integrated_gradients, occlusion, require_captum
from lung_srad_plugin.analysis.decision import Decision, baseline
from lung_srad_plugin.analysis.map_agreement import random_falls, rank_correlation, removal_falls, top_overlap
from lung_srad_plugin.analysis.map_cells import MapCells
from lung_srad_plugin.analysis.mixing_map import mixing_map, ss2d_layers
from lung_srad_plugin.encoders.base import Encoder
from lung_srad_plugin.errors import LungSRADError

METHODS = ("mixing", "gradients", "occlusion")
METHOD_TITLES = {"mixing": "mixing map", "gradients": "integrated gradients", "occlusion": "occlusion"}


@dataclass(frozen=True)
class Agreement:
    """How far two maps of one clip agree.

    Arguments
    ---------
    rank_correlation : float or None
        Spearman's, over the cells; None where a map is constant.
    top_overlap : float
        Share of the highest tenth of the cells that both have; 0.1 by chance.
    """

    rank_correlation: float | None
    top_overlap: float


@dataclass(frozen=True)
class Explanation:
    """The maps of one clip.

    Arguments
    ---------
    log_odds, log_odds_of_baseline : float
        Of what is explained, for the clip and for its mean level at every position.
    maps : dict
        Method to (T,F), what each position adds to the log-odds.
    cells : MapCells
        In which maps are compared.
    agreements : dict
        Pair of methods to ``Agreement``.
    falls : dict
        Method, and ``"random"``, to how far the log-odds fall where a share of the cells is removed, the highest
        first: one number for each of ``REMOVED_SHARES``.
    """

    log_odds: float
    log_odds_of_baseline: float
    maps: Mapping[str, torch.Tensor]
    cells: MapCells
    agreements: Mapping[tuple[str, str], Agreement]
    falls: Mapping[str, Sequence[float]]


def map_of(method: str, decision: Decision, feats: torch.Tensor, cells: MapCells) -> torch.Tensor:
    """Return the map (T,F) of features (1,T,F) by one of ``METHODS``."""
    if method == "mixing":
        return mixing_map(decision, feats)[0]
    if method == "gradients":
        return integrated_gradients(decision, feats)
    return occlusion(decision, feats, cells)


def explain(
    decision: Decision,
    feats: torch.Tensor,
    cells: MapCells,
    methods: Sequence[str] = METHODS[:2],
    generator: torch.Generator | None = None,
) -> Explanation:
    """Explain a decision about one clip by several maps.

    Arguments
    ---------
    decision : Decision
    feats : torch.Tensor
        (1,T,F) normalised.
    cells : MapCells
        Of the features.
    methods : sequence of str
        Some of ``METHODS``, each once.
    generator : torch.Generator, optional
        Draws the order in which cells are removed for comparison; by default one with seed 0.

    Returns
    -------
    Explanation

    Raises
    ------
    LungSRADError
        Where a method does not exist, the encoder has no SS2D layer for ``"mixing"``, or captum is not installed.
    """
    check_methods(methods, decision.encoder)
    maps = {method: map_of(method, decision, feats, cells) for method in methods}
    summed = {method: cells.sum(values) for method, values in maps.items()}
    with torch.no_grad():
        log_odds, of_baseline = decision(torch.cat([feats, baseline(feats)])).tolist()
    falls = {method: removal_falls(decision, feats, cells, values) for method, values in summed.items()}
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    falls["random"] = random_falls(decision, feats, cells, generator)
    agreements = {
        (first, second): Agreement(
            rank_correlation(summed[first], summed[second]), top_overlap(summed[first], summed[second])
        )
        for first, second in combinations(methods, 2)
    }
    return Explanation(log_odds, of_baseline, maps, cells, agreements, falls)


def check_methods(methods: Sequence[str], encoder: Encoder) -> None:
    """Refuse methods that do not exist, do not suit an encoder, or need what is not installed: before any work.

    Raises
    ------
    LungSRADError
    """
    if not methods or len(set(methods)) < len(methods) or not set(methods) <= set(METHODS):
        raise LungSRADError(f"methods {', '.join(methods) or 'none'}: expected some of {', '.join(METHODS)}, each once")
    if "mixing" in methods:
        ss2d_layers(encoder)
    if set(methods) - {"mixing"}:
        require_captum()
