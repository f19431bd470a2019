import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from lung_srad_plugin.metrics.probabilistic import (
    auroc,
    average_precision,
    brier_score,
    calibration_error,
    log_loss,
    reliability_bins,
)


def draw(seed, n=60, digits=3):
    """Classes, probabilities, scores with ties, and weights with zeros: a resample's."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 4, n)
    probabilities = rng.dirichlet(np.ones(4), n)
    scores = probabilities[:, 1].round(digits)
    weights = rng.integers(0, 4, (5, n)).astype(float)
    return targets, probabilities, scores, weights


SEEDS = st.integers(0, 2**32 - 1)


# ---- by hand ----


def test_auroc_by_hand():
    # 2 positives, 3 negatives; of the 6 pairs 0.7 wins 2 and ties 1, 0.4 wins 1 and loses 2.
    positive = np.array([1, 1, 0, 0, 0], dtype=bool)
    assert auroc(positive, np.array([0.7, 0.4, 0.7, 0.5, 0.1])) == pytest.approx((2.5 + 1) / 6)


def test_average_precision_by_hand():
    # Falling: + (1/1), - , + (2/3), tie of one + and one - (3/5).
    positive = np.array([1, 0, 1, 1, 0], dtype=bool)
    value = average_precision(positive, np.array([0.9, 0.8, 0.7, 0.2, 0.2]))
    assert value == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_calibration_by_hand():
    # Bin (0.5, 0.75]: 0.6 right, 0.7 wrong, gap |0.5 - 0.65|; bin (0.75, 1]: 1.0 wrong and 0.8 right, gap |0.5 - 0.9|.
    probabilities = np.array([[0.6, 0.4], [0.7, 0.3], [1.0, 0.0], [0.2, 0.8]])
    targets = np.array([0, 1, 1, 1])
    assert calibration_error(targets, probabilities, bins=4) == pytest.approx((2 * 0.15 + 2 * 0.4) / 4)
    rows = reliability_bins(targets, probabilities, bins=4)
    assert [(row["low"], row["high"], row["cycles"], row["accuracy"]) for row in rows] == [
        (0.5, 0.75, 2, 0.5),
        (0.75, 1.0, 2, 0.5),
    ]
    assert [row["confidence"] for row in rows] == pytest.approx([0.65, 0.9])


def test_a_confidence_on_an_edge_belongs_below():
    (row,) = reliability_bins(np.array([0]), np.array([[0.75, 0.25]]), bins=4)
    assert (row["low"], row["high"]) == (0.5, 0.75)


def test_brier_by_hand():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]])
    assert brier_score(np.array([0, 2]), probabilities) == pytest.approx((0.25 + 0.09 + 0.04 + 1 + 1) / 2)


# ---- agreement ----


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_ranking_agrees_with_scikit_learn(seed):
    targets, _, scores, weights = draw(seed, digits=1)
    positive = targets > 1
    assert auroc(positive, scores) == pytest.approx(sklearn_metrics.roc_auc_score(positive, scores))
    assert average_precision(positive, scores) == pytest.approx(
        sklearn_metrics.average_precision_score(positive, scores)
    )
    np.testing.assert_allclose(
        auroc(positive, scores, weights),
        [sklearn_metrics.roc_auc_score(positive, scores, sample_weight=row) for row in weights],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of thresholds without any weight
        expected = [sklearn_metrics.average_precision_score(positive, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(average_precision(positive, scores, weights), expected)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_losses_agree_with_scikit_learn(seed):
    targets, probabilities, _, weights = draw(seed)
    for ours, theirs in (
        (brier_score, lambda *a, **k: sklearn_metrics.brier_score_loss(*a, **k, labels=range(4), scale_by_half=False)),
        (log_loss, lambda *a, **k: sklearn_metrics.log_loss(*a, **k, labels=range(4))),
    ):
        assert ours(targets, probabilities) == pytest.approx(theirs(targets, probabilities))
        expected = [theirs(targets, probabilities, sample_weight=row) for row in weights]
        np.testing.assert_allclose(ours(targets, probabilities, weights), expected)


def test_calibration_agrees_with_torchmetrics():
    torchmetrics = pytest.importorskip("torchmetrics.functional.classification")
    targets, probabilities, _, _ = draw(0, n=500)
    expected = torchmetrics.multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(targets), num_classes=4, n_bins=15, norm="l1"
    )
    assert calibration_error(targets, probabilities) == pytest.approx(float(expected), abs=1e-6)


# ---- properties ----


@given(SEEDS)
def test_weights_are_repetitions(seed):
    targets, probabilities, scores, weights = draw(seed)
    repeated = np.repeat(np.arange(len(targets)), weights[0].astype(int))
    positive = targets > 0
    for measure, arguments in (
        (auroc, (positive, scores)),
        (average_precision, (positive, scores)),
        (brier_score, (targets, probabilities)),
        (log_loss, (targets, probabilities)),
        (calibration_error, (targets, probabilities)),
    ):
        expected = measure(*(values[repeated] for values in arguments))
        assert measure(*arguments, weights)[0] == pytest.approx(float(expected))
        assert measure(*arguments, weights).shape == (5,)


@given(SEEDS)
def test_auroc_turns_around(seed):
    targets, _, scores, _ = draw(seed, digits=1)
    positive = targets > 0
    assert auroc(positive, scores) == pytest.approx(1 - auroc(positive, -scores))
    assert auroc(positive, scores) == pytest.approx(auroc(positive, np.exp(3 * scores)))


def test_undefined_is_nan():
    scores = np.array([0.1, 0.9])
    none, both = np.zeros(2, dtype=bool), np.ones(2, dtype=bool)
    assert np.isnan(auroc(none, scores))
    assert np.isnan(auroc(both, scores))
    assert np.isnan(average_precision(none, scores))
    assert average_precision(both, scores) == 1
    assert np.isnan(brier_score(np.array([0, 1]), np.eye(2), weights=np.zeros(2)))


def test_perfect_and_worst():
    targets, certain = np.array([0, 1, 2, 3]), np.eye(4)
    assert brier_score(targets, certain) == 0
    assert calibration_error(targets, certain) == 0
    assert brier_score(targets, certain[::-1]) == 2
    assert calibration_error(targets, certain[::-1]) == 1
    assert log_loss(targets, certain[::-1]) == np.inf
