"""An exponential moving average of the weights over steps, validated and exported instead of the last step's."""

import itertools

import torch
from torch.optim.swa_utils import AveragedModel


class AveragedWeights(AveragedModel):
    """Keep the average of a model's weights and running statistics, and exchange them with the model's own.

    The first update copies the weights. Update n after it (from 1) takes ``average = d * average + (1 - d) * weights``
    with ``d = min(decay, (1 + n) / (10 + n))``, so that the first steps, in which weights change fast, are forgotten
    fast. Integer buffers, such as BatchNorm's count of batches, are those of the latest step.

    Arguments
    ---------
    model : torch.nn.Module
        The model in training; the average begins with its weights.
    decay : float
        From 0 to below 1. The average spans about ``1 / (1 - decay)`` steps.

    Example
    -------
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> averaged = AveragedWeights(model, decay=0.5)
    >>> for weight in (1.0, 3.0):
    ...     _ = torch.nn.init.constant_(model.weight, weight)
    ...     averaged.update_parameters(model)
    >>> averaged.exchange(model)
    >>> round(model.weight.item(), 3), averaged.module.weight.item()
    (2.636, 3.0)
    """

    def __init__(self, model: torch.nn.Module, decay: float):
        super().__init__(model, multi_avg_fn=_moving_average(decay), use_buffers=True)
        self.requires_grad_(False)

    @torch.no_grad()
    def exchange(self, model: torch.nn.Module) -> None:
        """Put the average into the model and the model's own weights here; a second call undoes it."""
        for ours, theirs in zip(_tensors(self.module), _tensors(model), strict=True):
            kept = ours.clone()
            ours.copy_(theirs)
            theirs.copy_(kept)


def _tensors(module):
    return itertools.chain(module.parameters(), module.buffers())


def _moving_average(decay):
    @torch.no_grad()
    def update(averages, latest, updates):
        if not averages[0].is_floating_point():
            torch._foreach_copy_(averages, latest)
            return
        count = int(updates)
        torch._foreach_lerp_(averages, latest, 1 - min(decay, (1 + count) / (10 + count)))

    return update
