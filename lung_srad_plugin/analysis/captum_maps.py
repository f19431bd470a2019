"""Maps by captum, which know nothing of how an encoder is made: integrated gradients, and occlusion of cells."""

from typing import Any

import torch

from lung_srad_plugin.analysis.decision import Decision, baseline
from lung_srad_plugin.analysis.map_cells import MapCells
from lung_srad_plugin.errors import LungSRADError

STEPS, MOST_STEPS = 32, 512  # points on the way from the baseline
TOLERANCE = 0.01  # of the difference of the log-odds, and in log-odds
BATCH = 8  # variants of a clip that go through the model at once


def integrated_gradients(
    decision: Decision, feats: torch.Tensor, steps: int = STEPS, most_steps: int = MOST_STEPS
) -> torch.Tensor:
    """Return integrated gradients (Sundararajan et al., 2017) of features, from the clip's mean to the clip.

    Their sum is the difference of the log-odds between clip and baseline, but for the steps of the integral. Steps are
    doubled until it is so within 1 % and 0.01: encoders that normalise a patch before all else, such as AST, change
    abruptly near the baseline, where patches are constant.

    Arguments
    ---------
    decision : Decision
        Of any encoder, in evaluation mode.
    feats : torch.Tensor
        (1,T,F) normalised.
    steps, most_steps : int
        Points of the Gauss-Legendre integral at first, and at most.

    Returns
    -------
    torch.Tensor
        (T,F)

    Raises
    ------
    LungSRADError
        Where captum is not installed.
    """
    method = require_captum().IntegratedGradients(decision, multiply_by_inputs=True)
    feats = feats.detach()
    with torch.no_grad():
        difference = (decision(feats) - decision(baseline(feats))).item()
    while True:
        with torch.enable_grad():
            found = method.attribute(feats, baselines=baseline(feats), n_steps=steps, internal_batch_size=BATCH)
        close = abs(found.sum().item() - difference) <= TOLERANCE * (1 + abs(difference))
        if close or 2 * steps > most_steps:
            return found[0].detach().to(feats.dtype)
        steps *= 2


def occlusion(decision: Decision, feats: torch.Tensor, cells: MapCells) -> torch.Tensor:
    """Return by how much the log-odds fall where one cell is set to the clip's mean, the others staying.

    Arguments
    ---------
    decision, feats
        As for ``integrated_gradients``.
    cells : MapCells
        Of the features.

    Returns
    -------
    torch.Tensor
        (T,F): the fall of a cell is divided evenly between its positions.

    Raises
    ------
    LungSRADError
        Where captum is not installed.
    """
    numbers = cells.of_position.to(feats.device)
    with torch.no_grad():
        falls = (
            require_captum()
            .FeatureAblation(decision)
            .attribute(feats, baselines=baseline(feats), feature_mask=numbers[None], perturbations_per_eval=BATCH)
        )
    sizes = torch.bincount(numbers.flatten(), minlength=cells.rows * cells.columns)
    return (falls[0] / sizes[numbers]).to(feats.dtype)


def require_captum() -> Any:
    """Return captum's attribution methods.

    Raises
    ------
    LungSRADError
        Where captum is not installed, with the cure.
    """
    try:
        import captum.attr
    except ImportError:
        raise LungSRADError(
            "integrated gradients and occlusion need captum, which is not installed; pip install 'lung-srad[explain]'"
        ) from None
    return captum.attr
