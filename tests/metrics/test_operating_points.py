import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.calibration import scale_table
from lung_srad_plugin.metrics.findings import findings
from lung_srad_plugin.metrics.operating_points import (
    OperatingPoint,
    apply_operating_points,
    fit_operating_points,
    read_operating_points,
    select_operating_point,
)
from lung_srad_plugin.metrics.predictions import make_table


def draw_table(seed, cycles=80):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(4), cycles)
    targets = [CLASSES[i] for i in rng.integers(0, 4, cycles)]
    ids = [f"c{i}" for i in range(cycles)]
    return make_table(ids, targets, probabilities, metadata={"patient": rng.integers(0, 8, cycles)})


def ten_abnormal():
    """Ten abnormal cycles with scores 0.1 to 1.0, and one normal one at 0.55."""
    scores = [*(n / 10 for n in range(1, 11)), 0.55]
    probabilities = [[1 - score, score] for score in scores]
    ids = [f"c{i}" for i in range(11)]
    return make_table(ids, ["ill"] * 10 + ["well"], probabilities, ("well", "ill"), {"patient": range(11)})


def test_thresholds_by_hand():
    points = fit_operating_points(ten_abnormal(), [70, 90, 95, 100])
    assert [point.threshold for point in points] == pytest.approx([0.4, 0.2, 0.1, 0.1])
    assert [point.wanted_sensitivity for point in points] == [70, 90, 95, 100]


def test_application_by_hand():
    table = ten_abnormal()
    (row,) = apply_operating_points([OperatingPoint(50.0, 0.55)], table, Bootstrap(100))
    # Called abnormal: 0.6 to 1.0, five of them right, and the normal one.
    assert {name: row[name].value for name in ("sensitivity", "specificity", "flagged")} == {
        "sensitivity": 50.0,
        "specificity": 0.0,
        "flagged": pytest.approx(600 / 11),
    }
    assert row["ppv"].value == pytest.approx(500 / 6)
    assert row["npv"].value == 0
    assert row["sensitivity"].low < 50 < row["sensitivity"].high


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1, 100))
def test_reaches_the_wanted_sensitivity_and_no_higher_threshold_does(seed, wanted):
    table = draw_table(seed)
    (point,) = fit_operating_points(table, [wanted])
    positive, scores = findings(table)["abnormal"]
    assert 100 * (scores[positive] >= point.threshold).mean() >= wanted - 1e-6
    assert 100 * (scores[positive] > point.threshold).mean() < wanted


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_agrees_with_scikit_learn(seed):
    table = draw_table(seed)
    (row,) = apply_operating_points([OperatingPoint(0.0, 0.8)], table, Bootstrap(5))
    positive, scores = findings(table)["abnormal"]
    called = scores >= 0.8
    assert row["sensitivity"].value == pytest.approx(100 * sklearn_metrics.recall_score(positive, called))
    assert row["ppv"].value == pytest.approx(100 * sklearn_metrics.precision_score(positive, called))
    assert row["specificity"].value == pytest.approx(100 * sklearn_metrics.recall_score(~positive, ~called))
    assert row["npv"].value == pytest.approx(100 * sklearn_metrics.precision_score(~positive, ~called, zero_division=0))


def test_nothing_called_has_no_predictive_value():
    (row,) = apply_operating_points([OperatingPoint(1.0, 2.0)], ten_abnormal(), Bootstrap(5))
    assert math.isnan(row["ppv"].value)
    assert row["flagged"].value == 0


@pytest.mark.parametrize("wanted", [0, -5, 101])
def test_impossible_sensitivities_are_refused(wanted):
    with pytest.raises(LungSRADError, match=f"sensitivity {wanted}"):
        fit_operating_points(ten_abnormal(), [90, wanted])


def test_no_abnormal_cycle_is_refused():
    with pytest.raises(LungSRADError, match="no abnormal cycle"):
        fit_operating_points(ten_abnormal().rows([10]))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 0.9, 2.0, 4.0]))
def test_a_threshold_keeps_its_sensitivity_at_the_temperature_it_was_fitted_at(seed, temperature):
    table = draw_table(seed)
    (point,) = fit_operating_points(table, [90], temperature)
    assert point.temperature == temperature
    (row,) = apply_operating_points([point], table, Bootstrap(5))
    positive, scores = findings(scale_table(table, temperature))["abnormal"]
    assert row["sensitivity"].value == pytest.approx(100 * (scores[positive] >= point.threshold).mean())
    assert row["sensitivity"].value >= 90 - 1e-6
    # The highest such threshold: without the lowest of the found cycles the sensitivity is missed.
    assert 100 * (scores[positive] > point.threshold).mean() < 90


def test_points_of_the_version_before_are_of_temperature_1():
    stored = [
        {"wanted_sensitivity": 90.0, "threshold": 0.2},
        {"wanted_sensitivity": 90.0, "threshold": 0.4, "temperature": 2},
    ]
    assert read_operating_points(stored) == [OperatingPoint(90.0, 0.2, 1.0), OperatingPoint(90.0, 0.4, 2.0)]
    assert read_operating_points(None) == []


def test_selects_the_point_of_the_sensitivity_and_temperature():
    points = [OperatingPoint(80.0, 0.6), OperatingPoint(90.0, 0.2), OperatingPoint(90.0, 0.4, 2.0)]
    assert select_operating_point(points, 90).threshold == 0.2
    assert select_operating_point(points, 90, temperature=2.0).threshold == 0.4
    with pytest.raises(LungSRADError, match="expected one of 80, 90"):
        select_operating_point(points, 85)
    with pytest.raises(LungSRADError, match="at temperature 1 "):
        select_operating_point(points, 80, temperature=2.0)
    with pytest.raises(LungSRADError, match="no thresholds"):
        select_operating_point([], 90)
