"""Every metric by hand, against scikit-learn, and in the words of its test set."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.bootstrap import Bootstrap, Interval
from lung_srad_plugin.metrics.findings import findings
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.metrics.table_metrics import (
    METRICS,
    balanced_accuracy,
    compute_metrics,
    describe_metrics,
    harmonic_score,
    metrics_with_intervals,
)


def draw_table(seed=0, cycles=120, patients=9, labels=CLASSES):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(len(labels)), cycles)
    targets = [labels[i] for i in rng.integers(0, len(labels), cycles)]
    patient = rng.integers(0, patients, cycles)
    return make_table([f"c{i}" for i in range(cycles)], targets, probabilities, labels, {"patient": patient})


def test_metrics_by_hand():
    table = make_table(
        ["a", "b", "c", "d"],
        ["normal", "crackle", "wheeze", "both"],
        [[0.6, 0.2, 0.1, 0.1], [0.1, 0.6, 0.2, 0.1], [0.1, 0.5, 0.3, 0.1], [0.7, 0.1, 0.1, 0.1]],
    )
    values = compute_metrics(table, harmonic=True)
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
    assert set(METRICS) | {f"recall_{name}" for name in CLASSES} == set(values)
    assert all(isinstance(value, float) for value in values.values())


@given(st.integers(0, 2**32 - 1))
def test_many_weightings_are_one_after_another(seed):
    table = draw_table(seed, cycles=40)
    weights = np.random.default_rng(seed).integers(0, 3, (2, 3, 40))
    stacked = compute_metrics(table, weights, harmonic=True)
    for i in np.ndindex(2, 3):
        for name, value in compute_metrics(table, weights[i], harmonic=True).items():
            assert stacked[name][i] == pytest.approx(value, nan_ok=True)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_balanced_accuracy_agrees_with_scikit_learn(seed):
    table = draw_table(seed, cycles=30)
    expected = sklearn_metrics.balanced_accuracy_score(table.targets, table.predicted)
    assert compute_metrics(table)["balanced_accuracy"] == pytest.approx(100 * expected)


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
    values = compute_metrics(table)
    assert "auroc_crackle" not in values
    assert {"recall_healthy", "recall_ill", "recall_worse", "auroc_abnormal"} <= set(values)


def test_a_part_without_cycles_is_nan_and_the_rest_stands():
    table = make_table(["a", "b"], ["crackle", "both"], [[0.1, 0.7, 0.1, 0.1]] * 2, metadata={"patient": ["1", "2"]})
    values = compute_metrics(table)
    assert math.isnan(values["specificity"])
    assert math.isnan(values["score_strict_class"])
    assert math.isnan(values["recall_wheeze"])
    assert values["sensitivity_strict_class"] == 50
    assert isinstance(metrics_with_intervals(table, Bootstrap(20))["specificity"], Interval)


def test_two_labels_have_one_score_and_no_word_of_four_classes():
    metrics = describe_metrics(("healthy", "sick"))
    assert metrics["score_strict_class"].title == "Score"
    assert not any("abnormal" in name and "au" not in name for name in metrics)
    assert metrics["auroc_abnormal"].definition.endswith("1 - p(healthy)")
    texts = " ".join(f"{metric.title} {metric.definition}" for metric in metrics.values())
    assert not any(word in texts for word in ("class Score", "-class", "strict", "crackle", "p(normal)"))


def test_more_labels_say_how_many():
    assert describe_metrics(CLASSES)["score_strict_class"] == METRICS["score_strict_class"]
    assert "3-class" in describe_metrics(("a", "b", "c"))["score_strict_class"].title
    assert set(describe_metrics(CLASSES)) == set(compute_metrics(draw_table(1), harmonic=True))
