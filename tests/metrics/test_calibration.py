import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.calibration import fit_temperature, read_calibration, scale_table
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
    assert calibration.reason is None
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


def test_a_temperature_at_its_lower_bound_is_not_kept():
    table = make_table("ab", ["no", "yes"], [[0.8, 0.2], [0.3, 0.7]], labels=("no", "yes"))
    calibration = fit_temperature(table)
    assert calibration.temperature is calibration.after is None
    assert "2 validation cycles, 0.05," in calibration.reason


def test_a_temperature_at_its_upper_bound_is_not_kept():
    table = make_table("ab", ["no", "yes"], [[0.0, 1.0], [0.0, 1.0]], labels=("no", "yes"))
    calibration = fit_temperature(table)
    assert calibration.temperature is None
    assert ", 20," in calibration.reason
    assert calibration.before["log_loss"] == np.inf


def test_a_temperature_that_makes_the_log_loss_worse_is_not_kept(monkeypatch):
    monkeypatch.setattr("scipy.optimize.minimize_scalar", lambda *_, **__: SimpleNamespace(x=2.0))
    calibration = fit_temperature(sampled_table(2.5))
    assert calibration.temperature is None
    assert "0.5 makes the log loss" in calibration.reason


@pytest.mark.parametrize(
    ("stored", "temperature"),
    [
        ({"temperature": 1.5, "at_bound": False, "before": {"log_loss": 0.6}, "after": {"log_loss": 0.5}}, 1.5),
        ({"temperature": 0.05, "at_bound": True, "before": {"log_loss": 0.06}, "after": {"log_loss": 0.01}}, None),
        ({"temperature": 0.3, "at_bound": False, "before": {"log_loss": 0.06}, "after": {"log_loss": 0.53}}, None),
        ({"temperature": 1.5}, 1.5),
        (None, None),
    ],
)
def test_records_of_the_version_before_are_judged_by_the_same_rule(stored, temperature):
    calibration = read_calibration(stored)
    assert calibration.temperature == temperature
    assert (calibration.reason is None) == (temperature is not None)


@pytest.mark.parametrize("temperature", ["x", -1, 0, float("nan"), float("inf"), True, [1]])
def test_stored_temperatures_of_wrong_types_are_refused(temperature):
    with pytest.raises(LungSRADError, match="calibration: temperature"):
        read_calibration({"temperature": temperature})


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_temperatures_are_refused(temperature):
    with pytest.raises(LungSRADError, match="expected a number above 0"):
        scale_table(sampled_table(1.0, cycles=5), temperature)
