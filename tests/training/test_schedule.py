import copy
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.training.schedule import CosineByEpoch


def test_rates_of_the_paper_by_hand():
    schedule = CosineByEpoch(lr=5e-5, epochs=50)
    assert schedule(1) == pytest.approx(5e-8 + (5e-5 - 5e-8) * (1 + math.cos(math.pi / 50)) / 2)
    assert schedule(25) == pytest.approx((5e-5 + 5e-8) / 2)
    assert schedule(50) == pytest.approx(5e-8)


@given(lr=st.floats(1e-8, 10), epochs=st.integers(1, 200), decay=st.floats(0, 1), keep=st.floats(0, 0.9))
def test_falls_from_lr_to_its_share(lr, epochs, decay, keep):
    schedule = CosineByEpoch(lr, epochs, decay, keep)
    rates = [schedule(epoch) for epoch in range(1, epochs + 1)]
    assert all(later <= earlier * (1 + 1e-12) for earlier, later in pairwise(rates))
    assert rates[0] <= (1 - keep) * lr * (1 + 1e-12)
    assert rates[-1] == pytest.approx((1 - keep) * lr * decay, rel=1e-9, abs=1e-12)


OPTIMISERS = {
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1.0, weight_decay=1e-2),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=1.0, weight_decay=0.1),
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=1.0, momentum=0.9, weight_decay=1e-2),
}


@pytest.mark.parametrize("keep", [0.5, 0.8])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_averaging_with_the_previous_weights_is_the_scaled_rate(name, keep):
    torch.manual_seed(0)
    scaled = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    averaged = copy.deepcopy(scaled)
    batches = torch.randn(20, 16, 6, dtype=torch.float64)

    def train(model, schedule, average):
        optimiser = OPTIMISERS[name](model.parameters())
        for epoch, batch in enumerate(batches, start=1):
            optimiser.param_groups[0]["lr"] = schedule(epoch)
            optimiser.zero_grad()
            (model(batch) - batch[:, :3].sin()).square().mean().backward()
            before = [parameter.detach().clone() for parameter in model.parameters()]
            optimiser.step()
            if average:
                with torch.no_grad():
                    for parameter, previous in zip(model.parameters(), before, strict=True):
                        parameter.copy_(keep * previous + (1 - keep) * parameter)

    start = [parameter.detach().clone() for parameter in scaled.parameters()]
    train(averaged, CosineByEpoch(0.05, 20), average=True)
    train(scaled, CosineByEpoch(0.05, 20, keep_previous=keep), average=False)
    for first, second, initial in zip(averaged.parameters(), scaled.parameters(), start, strict=True):
        torch.testing.assert_close(first, second, atol=1e-6, rtol=0)
        assert (first - initial).abs().max() > 1e-2


@pytest.mark.parametrize("epoch", [0, -1, 11])
def test_epochs_outside_are_refused(epoch):
    with pytest.raises(LungSRADError, match="epochs 1 to 10"):
        CosineByEpoch(1.0, 10)(epoch)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"lr": 0.0}, "lr=0.0"),
        ({"lr": float("inf")}, "lr=inf"),
        ({"epochs": 0}, "epochs=0"),
        ({"decay": 1.5}, "decay=1.5"),
        ({"keep_previous": 1.0}, "keep_previous=1.0"),
        ({"keep_previous": -0.1}, "keep_previous=-0.1"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(LungSRADError, match=message):
        CosineByEpoch(**{"lr": 1.0, "epochs": 10, **setting})


def test_warmup_rises_in_equal_steps_to_the_cosine():
    plain, warm = CosineByEpoch(1.0, 10), CosineByEpoch(1.0, 10, warmup_epochs=3)
    for epoch, share in ((1, 0.25), (2, 0.5), (3, 0.75), (4, 1.0), (10, 1.0)):
        assert warm(epoch) == pytest.approx(share * plain(epoch))


def test_warmup_as_long_as_the_training_is_refused():
    with pytest.raises(LungSRADError, match="warmup_epochs=10"):
        CosineByEpoch(1.0, 10, warmup_epochs=10)
