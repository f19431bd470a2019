"""Which answers are uncertain, and what it means on validation cycles."""

import pytest

from lung_srad_plugin.metrics.calibration import Calibration
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.metrics.uncertainty import measure_uncertainty

ANSWERS = [[0.8, 0.2], [0.8, 0.2], [0.95, 0.05], [0.55, 0.45]]


@pytest.fixture
def table():
    return make_table("abcd", ["no", "yes", "no", "yes"], ANSWERS, labels=("no", "yes"))


def test_the_probabilities_are_calibrated_first(table):
    assert measure_uncertainty(table, Calibration(None, "none")) == {
        "below": 0.6,
        "share": 0.25,
        "wrong": 1.0,
        "wrong_otherwise": pytest.approx(1 / 3),
    }
    # At temperature 4, 4 : 1 becomes 1.41 : 1, a probability of 0.586; 19 : 1 becomes 2.09 : 1, 0.676.
    found = measure_uncertainty(table, Calibration(4.0))
    assert (found["share"], found["wrong"], found["wrong_otherwise"]) == (0.75, pytest.approx(2 / 3), 0.0)


def test_what_is_not_known_is_none(table):
    assert measure_uncertainty(None, Calibration(2.0))["share"] is None
    sure = table.rows([2])
    assert measure_uncertainty(sure, Calibration(None, "none")) == {
        "below": 0.6,
        "share": 0.0,
        "wrong": None,
        "wrong_otherwise": 0.0,
    }
