"""Correlations over runs, against scipy's, and their intervals."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.analysis.correlation import _pearson, _ranks, correlate
from lung_srad_plugin.metrics.bootstrap import Bootstrap

FEW = Bootstrap(resamples=2000)


def test_coefficients_are_those_of_scipy_ties_included():
    draw = np.random.default_rng(0)
    x = draw.integers(0, 5, 20).astype(float)
    y = x + draw.normal(size=20).round(0)
    found = correlate(x, y, [str(index) for index in range(20)], FEW)
    assert found["pearson"].value == pytest.approx(pearsonr(x, y).statistic)
    assert found["spearman"].value == pytest.approx(spearmanr(x, y).statistic)
    assert found["pearson"].low < found["pearson"].value < found["pearson"].high


def test_a_resample_is_as_if_the_drawn_points_were_written_out():
    draw = np.random.default_rng(1)
    x, y = draw.integers(0, 4, 9).astype(float), draw.normal(size=9)
    counts = draw.multinomial(9, np.full(9, 1 / 9), size=5)
    for row in counts:
        repeated = np.repeat(x, row), np.repeat(y, row)
        one = row[None]
        assert _pearson(one, x[None], y[None])[0] == pytest.approx(pearsonr(*repeated).statistic)
        assert _pearson(one, _ranks(one, x), _ranks(one, y))[0] == pytest.approx(spearmanr(*repeated).statistic)


def test_checkpoints_of_one_run_are_drawn_together():
    x = np.array([0.0, 0.1, 1.0, 1.1, 2.0, 2.1])
    y = np.array([0.0, 0.2, 0.9, 1.3, 1.7, 2.4])
    together = correlate(x, y, ["a", "a", "b", "b", "c", "c"], FEW)["pearson"]
    apart = correlate(x, y, list("abcdef"), FEW)["pearson"]
    assert together.value == apart.value
    assert (together.low, together.high) != (apart.low, apart.high)


def test_undefined_points_are_left_out():
    x = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    y = np.array([1.0, 3.0, 2.0, np.nan, 4.0])
    found = correlate(x, y, list("abcde"), FEW)
    assert found["pearson"].value == pytest.approx(pearsonr([1, 2, 5], [1, 3, 4]).statistic)


@pytest.mark.parametrize(
    ("x", "y", "runs"),
    [
        ([1.0, 2.0, 3.0], [0.7, 0.7, 0.7], "abc"),  # a constant
        ([1.0, 2.0], [1.0, 2.0], "ab"),
        ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0], "aabb"),  # two runs
        ([1.0, 2.0, np.nan], [1.0, 2.0, 3.0], "abc"),
    ],
)
def test_too_little_to_correlate_is_undefined(x, y, runs):
    found = correlate(np.array(x), np.array(y), list(runs), FEW)
    assert all(np.isnan(one.value) and np.isnan(one.low) for one in found.values())


def test_figures_of_other_lengths_are_refused():
    with pytest.raises(LungSRADError, match="3 and 2 figures of 3 checkpoints"):
        correlate(np.ones(3), np.ones(2), list("abc"))
