import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics import bootstrap as bootstrap_module
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.icbhi_score import icbhi_scores
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.metrics.table_metrics import (
    metrics_with_intervals,
)


def draw_table(seed=0, cycles=120, patients=9, labels=CLASSES):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(len(labels)), cycles)
    targets = [labels[i] for i in rng.integers(0, len(labels), cycles)]
    patient = rng.integers(0, patients, cycles)
    return make_table([f"c{i}" for i in range(cycles)], targets, probabilities, labels, {"patient": patient})


def mean_of(values):
    return lambda weights: {"mean": weights @ values / weights.sum(-1)}


def test_is_the_definition_one_resample_at_a_time():
    table = draw_table(patients=5)
    names, patient_of = np.unique(table.patients(), return_inverse=True)
    rng = np.random.default_rng(3)
    draws = []
    for counts in rng.multinomial(5, [0.2] * 5, size=200):
        rows = np.concatenate([np.flatnonzero(patient_of == p) for p in range(5) for _ in range(counts[p])])
        draws.append(icbhi_scores(table.targets[rows], table.predicted[rows])["score"])
    assert len(names) == 5
    interval = metrics_with_intervals(table, Bootstrap(200, 90, 3))["score_strict_class"]
    assert interval.value == icbhi_scores(table.targets, table.predicted)["score"]
    assert (interval.low, interval.high) == pytest.approx(tuple(np.percentile(draws, [5, 95])))


def test_seed_decides_and_chunks_do_not(monkeypatch):
    table = draw_table()
    first = metrics_with_intervals(table, Bootstrap(300, seed=1))
    monkeypatch.setattr(bootstrap_module, "CHUNK", 100)
    second = metrics_with_intervals(table, Bootstrap(300, seed=1))
    for name, interval in first.items():
        assert (interval.low, interval.high) == pytest.approx((second[name].low, second[name].high))
    assert metrics_with_intervals(table, Bootstrap(300, seed=2)) != second


def test_each_cycle_its_own_patient_gives_the_normal_interval():
    values = np.random.default_rng(0).normal(size=400)
    interval = Bootstrap(4000).intervals(mean_of(values), np.arange(400))["mean"]
    error = 1.96 * values.std() / math.sqrt(400)
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - error, abs=0.1 * error)
    assert interval.high == pytest.approx(values.mean() + error, abs=0.1 * error)


def test_alike_cycles_of_a_patient_do_not_narrow_the_interval():
    values = np.random.default_rng(0).normal(size=40)
    single = Bootstrap(2000).intervals(mean_of(values), np.arange(40))["mean"]
    repeated = Bootstrap(2000).intervals(mean_of(np.repeat(values, 25)), np.repeat(np.arange(40), 25))["mean"]
    naive = Bootstrap(2000).intervals(mean_of(np.repeat(values, 25)), np.arange(1000))["mean"]
    assert (repeated.low, repeated.high) == pytest.approx((single.low, single.high))
    assert naive.high - naive.low < 0.3 * (repeated.high - repeated.low)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_wider_with_more_confidence(seed):
    table = draw_table(seed)
    narrow, wide = (metrics_with_intervals(table, Bootstrap(50, c))["brier"] for c in (50, 95))
    assert wide.low <= narrow.low <= narrow.high <= wide.high


def test_undefined_resamples_are_counted():
    # Patient b holds the only positive; a resample of a alone, one in four, has none.
    positive = np.array([0.0, 1.0])
    statistic = lambda w: {"share": np.where(w @ positive > 0, w @ (1 - positive), np.nan)}  # noqa: E731
    interval = Bootstrap(4000).intervals(statistic, ["a", "b"])["share"]
    assert interval.undefined == pytest.approx(1000, abs=120)
    assert (interval.low, interval.high) == (0, 1)


def test_one_patient_or_an_undefined_value_has_no_interval():
    one = Bootstrap().intervals(mean_of(np.array([0.0, 1.0])), ["a", "a"])["mean"]
    assert one.value == 0.5
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    nothing = Bootstrap(10).intervals(lambda w: {"x": np.full(w.shape[0], np.nan)}, ["a", "b"])["x"]
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.low)
    assert nothing.undefined == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resamples": 0}, "resamples=0"),
        ({"confidence": 100}, "confidence=100"),
        ({"confidence": 0}, "confidence=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(LungSRADError, match=message):
        Bootstrap(**arguments)


def test_no_cycles_are_refused():
    with pytest.raises(LungSRADError, match="no cycles"):
        Bootstrap().intervals(mean_of(np.ones(0)), [])


def test_many_patients_are_drawn_with_replacement_and_reported_as_progress(monkeypatch):
    """The interval of a mean of 0 and 1 is that of the binomial distribution, whichever way patients are drawn."""
    monkeypatch.setattr(bootstrap_module, "CHUNK", 1 << 20)
    patients = bootstrap_module.MULTINOMIAL_PATIENTS + 1000
    seen = []
    many = Bootstrap(1000, progress=lambda done, of: seen.append((done, of)))
    interval = many.intervals(mean_of(np.arange(patients) % 2), np.arange(patients))["mean"]
    half_width = 1.96 * 0.5 / np.sqrt(patients)
    assert interval.low == pytest.approx(0.5 - half_width, abs=0.15 * half_width)
    assert interval.high == pytest.approx(0.5 + half_width, abs=0.15 * half_width)
    assert sum(done for done, _ in seen) == 1000
    assert {of for _, of in seen} == {patients}
    assert len(seen) > 1
