"""The order of the training cycles: another one for every epoch of every seed, and the same when it is asked again."""

import pytest
import torch

from lung_srad_plugin.training.sampler import EpochSampler, epoch_order


def test_seeds_share_no_order():
    """With the sum of seed and epoch there were 54 different orders, not 250."""
    orders = {tuple(epoch_order(100, seed, epoch).tolist()) for seed in range(1, 6) for epoch in range(1, 51)}
    assert len(orders) == 250


@pytest.mark.parametrize(("seed", "epoch"), [(1, 1), (0, 3), (2**40, 50)])
def test_order_depends_on_seed_and_epoch_alone(seed, epoch):
    first = epoch_order(50, seed, epoch)
    torch.manual_seed(7)
    torch.rand(3)
    assert torch.equal(epoch_order(50, seed, epoch), first)
    assert sorted(first.tolist()) == list(range(50))


def test_runs_of_version_0_1_keep_their_order():
    expected = torch.randperm(50, generator=torch.Generator().manual_seed(3 + 4))
    assert torch.equal(epoch_order(50, seed=3, epoch=4, version=1), expected)


def test_sampler_follows_the_epoch():
    sampler = EpochSampler(50, seed=1)
    orders = []
    for epoch in (1, 2, 1):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert len(sampler) == 50
    assert orders[0] == orders[2] == epoch_order(50, 1, 1).tolist()
    assert orders[1] != orders[0]
