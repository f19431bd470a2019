"""The order in which an epoch takes the training cycles."""

import hashlib
from collections.abc import Callable
from functools import partial

import torch
from torch.utils.data import Sampler

from lung_srad_plugin.runs.selection import TRAINING_VERSION


def epoch_order(size: int, seed: int, epoch: int, version: int = TRAINING_VERSION) -> torch.Tensor:
    """Return a permutation of ``size`` indices that depends on nothing but its arguments.

    The generator is seeded with a hash of (seed, epoch). With their sum, as in SpeechBrain's sampler and in version
    0.1, the second epoch of seed 1 would have the order of the first epoch of seed 2, and runs over seeds would share
    most of their orders.

    Arguments
    ---------
    size : int
        The number of cycles.
    seed : int
        Of the run.
    epoch : int
    version : int
        ``training_version`` of the run: 1 takes the sum.

    Returns
    -------
    torch.Tensor
        (size,) int64.

    Example
    -------
    >>> sorted(epoch_order(4, seed=1, epoch=2).tolist())
    [0, 1, 2, 3]
    """
    if version == 1:
        return torch.randperm(size, generator=torch.Generator().manual_seed(seed + epoch))
    return seeded_order(size, f"order of cycles, seed {seed}, epoch {epoch}")


def seeded_order(size: int, text: str) -> torch.Tensor:
    """Return a permutation of ``size`` indices drawn from the hash of a text, which says what it orders.

    Example
    -------
    >>> sorted(seeded_order(3, "seed 1").tolist())
    [0, 1, 2]
    """
    digest = hashlib.sha256(text.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
    return torch.randperm(size, generator=generator)


class EpochSampler(Sampler):
    """Sample the cycles of an epoch in an order that (seed, epoch) decides; ``set_epoch`` comes before each epoch.

    Arguments
    ---------
    size : int
        The number of cycles.
    seed, version : int
        Of the run.
    order : callable, optional
        Returns the indices of an epoch's cycles, (size,), for (seed, epoch). By default it has every cycle once, in the
        order of ``epoch_order``.

    Example
    -------
    >>> sampler = EpochSampler(3, seed=1)
    >>> sampler.set_epoch(2)
    >>> sorted(sampler)
    [0, 1, 2]
    """

    def __init__(
        self,
        size: int,
        seed: int,
        version: int = TRAINING_VERSION,
        order: Callable[[int, int], torch.Tensor] | None = None,
    ):
        self.size = size
        self.seed = seed
        self.order = order or partial(epoch_order, size, version=version)
        self.epoch = 0

    def set_epoch(self, epoch: int):
        """Take the order of this epoch from now on."""
        self.epoch = epoch

    def __iter__(self):
        return iter(self.order(self.seed, self.epoch).tolist())

    def __len__(self):
        return self.size
