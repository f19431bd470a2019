import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics import bootstrap as bootstrap_module
from lung_srad_plugin.metrics.bootstrap import Interval, bootstrap
from lung_srad_plugin.metrics.icbhi_score import icbhi_scores
from lung_srad_plugin.metrics.metrics import (
    MEASURES,
    balanced_accuracy,
    findings,
    harmonic_score,
    measure,
    measure_with_intervals,
)
from lung_srad_plugin.metrics.predictions import make_table


def draw_table(seed=0, cycles=120, patients=9, labels=CLASSES):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(len(labels)), cycles)
    targets = [labels[i] for i in rng.integers(0, len(labels), cycles)]
    patient = rng.integers(0, patients, cycles)
    return make_table([f"c{i}" for i in range(cycles)], targets, probabilities, labels, {"patient": patient})


def mean_of(values):
    return lambda weights: {"mean": weights @ values / weights.sum(-1)}


# ---- bootstrap ----


def test_is_the_definition_one_resample_at_a_time():
    table = draw_table(patients=5)
    names, patient_of = np.unique(table.patients(), return_inverse=True)
    rng = np.random.default_rng(3)
    draws = []
    for counts in rng.multinomial(5, [0.2] * 5, size=200):
        rows = np.concatenate([np.flatnonzero(patient_of == p) for p in range(5) for _ in range(counts[p])])
        draws.append(icbhi_scores(table.targets[rows], table.predicted[rows])["score"])
    assert len(names) == 5
    interval = measure_with_intervals(table, resamples=200, seed=3, confidence=90)["score_strict_class"]
    assert interval.value == icbhi_scores(table.targets, table.predicted)["score"]
    assert (interval.low, interval.high) == pytest.approx(tuple(np.percentile(draws, [5, 95])))


def test_seed_decides_and_chunks_do_not(monkeypatch):
    table = draw_table()
    first = measure_with_intervals(table, resamples=300, seed=1)
    monkeypatch.setattr(bootstrap_module, "CHUNK", 100)
    second = measure_with_intervals(table, resamples=300, seed=1)
    for name, interval in first.items():
        assert (interval.low, interval.high) == pytest.approx((second[name].low, second[name].high))
    assert measure_with_intervals(table, resamples=300, seed=2) != second


def test_each_cycle_its_own_patient_gives_the_normal_interval():
    values = np.random.default_rng(0).normal(size=400)
    interval = bootstrap(mean_of(values), np.arange(400), resamples=4000)["mean"]
    error = 1.96 * values.std() / math.sqrt(400)
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - error, abs=0.1 * error)
    assert interval.high == pytest.approx(values.mean() + error, abs=0.1 * error)


def test_alike_cycles_of_a_patient_do_not_narrow_the_interval():
    values = np.random.default_rng(0).normal(size=40)
    single = bootstrap(mean_of(values), np.arange(40), resamples=2000)["mean"]
    repeated = bootstrap(mean_of(np.repeat(values, 25)), np.repeat(np.arange(40), 25), resamples=2000)["mean"]
    naive = bootstrap(mean_of(np.repeat(values, 25)), np.arange(1000), resamples=2000)["mean"]
    assert (repeated.low, repeated.high) == pytest.approx((single.low, single.high))
    assert naive.high - naive.low < 0.3 * (repeated.high - repeated.low)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_wider_with_more_confidence(seed):
    table = draw_table(seed)
    narrow, wide = (measure_with_intervals(table, resamples=50, confidence=c)["brier"] for c in (50, 95))
    assert wide.low <= narrow.low <= narrow.high <= wide.high


def test_undefined_resamples_are_counted():
    # Patient b holds the only positive; a resample of a alone, one in four, has none.
    positive = np.array([0.0, 1.0])
    statistic = lambda w: {"share": np.where(w @ positive > 0, w @ (1 - positive), np.nan)}  # noqa: E731
    interval = bootstrap(statistic, ["a", "b"], resamples=4000)["share"]
    assert interval.undefined == pytest.approx(1000, abs=120)
    assert (interval.low, interval.high) == (0, 1)


def test_one_patient_or_an_undefined_value_has_no_interval():
    one = bootstrap(mean_of(np.array([0.0, 1.0])), ["a", "a"])["mean"]
    assert one.value == 0.5
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    nothing = bootstrap(lambda w: {"x": np.full(w.shape[0], np.nan)}, ["a", "b"], resamples=10)["x"]
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.low)
    assert nothing.undefined == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resamples": 0}, "resamples=0"),
        ({"confidence": 100}, "confidence=100"),
        ({"confidence": 0}, "confidence=0"),
        ({"patients": []}, "no cycles"),
    ],
)
def test_bad_calls_are_refused(arguments, message):
    with pytest.raises(LungSRADError, match=message):
        bootstrap(**{"statistics": mean_of(np.ones(2)), "patients": ["a", "b"], **arguments})


# ---- measures ----


def test_measures_by_hand():
    table = make_table(
        ["a", "b", "c", "d"],
        ["normal", "crackle", "wheeze", "both"],
        [[0.6, 0.2, 0.1, 0.1], [0.1, 0.6, 0.2, 0.1], [0.1, 0.5, 0.3, 0.1], [0.7, 0.1, 0.1, 0.1]],
    )
    values = measure(table, harmonic=True)
    assert values["specificity"] == 100
    assert values["sensitivity_strict_class"] == pytest.approx(100 / 3)
    assert values["score_strict_class"] == pytest.approx(200 / 3)
    assert values["sensitivity_any_abnormal"] == pytest.approx(200 / 3)
    assert values["score_any_abnormal"] == pytest.approx(250 / 3)
    assert values["harmonic_strict_class"] == pytest.approx(50)
    assert values["harmonic_any_abnormal"] == pytest.approx(80)
    assert values["balanced_accuracy"] == pytest.approx(50)
    # p(abnormal): 0.4 against 0.9, 0.9, 0.3; p(crackle or both): 0.7, 0.2 against 0.3, 0.6;
    # p(wheeze or both): 0.4, 0.2 against 0.2, 0.3.
    assert values["auroc_abnormal"] == pytest.approx(2 / 3)
    assert values["auroc_crackle"] == pytest.approx(2 / 4)
    assert values["auroc_wheeze"] == pytest.approx(2.5 / 4)
    assert values["brier"] == pytest.approx((0.22 + 0.22 + 0.76 + 1.32) / 4)
    assert set(MEASURES) | {f"recall_{name}" for name in CLASSES} == set(values)
    assert all(isinstance(value, float) for value in values.values())


@given(st.integers(0, 2**32 - 1))
def test_many_weightings_are_one_after_another(seed):
    table = draw_table(seed, cycles=40)
    weights = np.random.default_rng(seed).integers(0, 3, (2, 3, 40))
    stacked = measure(table, weights, harmonic=True)
    for i in np.ndindex(2, 3):
        for name, value in measure(table, weights[i], harmonic=True).items():
            assert stacked[name][i] == pytest.approx(value, nan_ok=True)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_balanced_accuracy_agrees_with_scikit_learn(seed):
    table = draw_table(seed, cycles=30)
    expected = sklearn_metrics.balanced_accuracy_score(table.targets, table.predicted)
    assert measure(table)["balanced_accuracy"] == pytest.approx(100 * expected)


def test_absent_classes_do_not_count_in_balanced_accuracy():
    assert balanced_accuracy(np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]])) == pytest.approx((75 + 50) / 2)
    assert math.isnan(balanced_accuracy(np.zeros((2, 2))))


def test_harmonic_score_gives_nothing_to_always_normal():
    assert harmonic_score(0.0, 0.0) == 0
    assert harmonic_score(50.0, 50.0) == 50
    np.testing.assert_allclose(harmonic_score(np.array([100.0, 60.0]), np.array([0.0, 30.0])), [0, 40])


def test_other_labels_have_no_crackle():
    table = draw_table(labels=("healthy", "ill", "worse"))
    assert list(findings(table)) == ["abnormal"]
    values = measure(table)
    assert "auroc_crackle" not in values
    assert {"recall_healthy", "recall_ill", "recall_worse", "auroc_abnormal"} <= set(values)


def test_a_part_without_cycles_is_nan_and_the_rest_stands():
    table = make_table(["a", "b"], ["crackle", "both"], [[0.1, 0.7, 0.1, 0.1]] * 2, metadata={"patient": ["1", "2"]})
    values = measure(table)
    assert math.isnan(values["specificity"])
    assert math.isnan(values["score_strict_class"])
    assert math.isnan(values["recall_wheeze"])
    assert values["sensitivity_strict_class"] == 50
    assert isinstance(measure_with_intervals(table, resamples=20)["specificity"], Interval)
