import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.calibration import fit_temperature, scale_table
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.metrics.probabilistic import log_loss


def sampled_table(temperature, seed=0, cycles=4000):
    """Targets drawn from honest probabilities, which are then sharpened as if by 1 / temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(cycles, 4))
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = [CLASSES[rng.choice(4, p=row)] for row in honest]
    sharp = torch.from_numpy(logits * temperature).softmax(1).numpy()
    return make_table([f"c{i}" for i in range(cycles)], targets, sharp)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_finds_the_temperature_that_was_used(temperature):
    calibration = fit_temperature(sampled_table(temperature))
    assert calibration.temperature == pytest.approx(temperature, rel=0.07)
    assert not calibration.at_bound
    assert calibration.after["ece"] < 0.02
    assert calibration.after["log_loss"] <= calibration.before["log_loss"]
    if temperature == 2.5:
        assert calibration.before["ece"] > 0.1
        assert calibration.after["brier"] < calibration.before["brier"]


def test_minimum_by_hand():
    # Every answer is 0.99 and three of four are right: the best temperature turns log odds log(99) into log(3).
    table = make_table("abcd", ["no", "no", "no", "yes"], [[0.99, 0.01]] * 4, labels=("no", "yes"))
    assert fit_temperature(table).temperature == pytest.approx(math.log(99) / math.log(3), rel=1e-4)


def test_is_the_minimum_of_the_log_loss():
    table = sampled_table(1.7, cycles=300)
    best = fit_temperature(table).temperature
    losses = [
        float(log_loss(table.targets, scale_table(table, best * factor).probabilities)) for factor in (0.99, 1, 1.01)
    ]
    assert losses[1] == min(losses)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 10))
def test_scaling_is_softmax_of_scaled_log_probs_and_keeps_answers(seed, temperature):
    table = sampled_table(1.0, seed, cycles=20)
    scaled = scale_table(table, temperature)
    expected = (torch.from_numpy(table.probabilities).log() / temperature).softmax(1)
    np.testing.assert_allclose(scaled.probabilities, expected, atol=1e-12)
    np.testing.assert_array_equal(scaled.predicted, table.predicted)
    np.testing.assert_allclose(scale_table(scaled, 1 / temperature).probabilities, table.probabilities, atol=1e-9)


def test_all_right_lies_at_the_bound():
    table = make_table("ab", ["no", "yes"], [[0.8, 0.2], [0.3, 0.7]], labels=("no", "yes"))
    calibration = fit_temperature(table)
    assert calibration.at_bound
    assert calibration.temperature == pytest.approx(0.05, rel=1e-3)


def test_certain_and_wrong_stays_finite():
    table = make_table("ab", ["no", "yes"], [[0.0, 1.0], [0.0, 1.0]], labels=("no", "yes"))
    calibration = fit_temperature(table)
    assert calibration.at_bound
    assert calibration.temperature == pytest.approx(20, rel=1e-3)
    assert calibration.before["log_loss"] == np.inf
    assert np.isfinite(calibration.after["log_loss"])


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_temperatures_are_refused(temperature):
    with pytest.raises(LungSRADError, match="expected a number above 0"):
        scale_table(sampled_table(1.0, cycles=5), temperature)
