"""The order in which an epoch takes the training cycles."""

import hashlib

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
    digest = hashlib.sha256(f"order of cycles, seed {seed}, epoch {epoch}".encode()).digest()
    generator = torch.Generator()
    generator.manual_seed(seed + epoch if version == 1 else int.from_bytes(digest[:8], "big", signed=True))
    return torch.randperm(size, generator=generator)


class EpochSampler(Sampler):
    """Sample every cycle once, in the order of ``epoch_order``; ``set_epoch`` comes before each epoch.

    Arguments
    ---------
    size : int
        The number of cycles.
    seed, version : int
        Of the run.

    Example
    -------
    >>> sampler = EpochSampler(3, seed=1)
    >>> sampler.set_epoch(2)
    >>> sorted(sampler)
    [0, 1, 2]
    """

    def __init__(self, size: int, seed: int, version: int = TRAINING_VERSION):
        self.size = size
        self.seed = seed
        self.version = version
        self.epoch = 0

    def set_epoch(self, epoch: int):
        """Take the order of this epoch from now on."""
        self.epoch = epoch

    def __iter__(self):
        return iter(epoch_order(self.size, self.seed, self.epoch, self.version).tolist())

    def __len__(self):
        return self.size
