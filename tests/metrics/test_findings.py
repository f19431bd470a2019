"""What is to be detected, and how likely the model thinks it."""

import numpy as np
import pytest

from lung_srad_plugin.inference.result import make_segment
from lung_srad_plugin.labels import CLASSES, abnormal_probability
from lung_srad_plugin.metrics.findings import findings
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.metrics.probabilistic import auroc

# The same p(normal) 0.7: summing the other columns gives 0.3 and 0.30000000000000004.
TIED = [[0.7, 0.1, 0.1, 0.1], [0.7, 0.3, 0.0, 0.0]]


def test_cycles_with_the_same_probability_of_normal_are_tied():
    assert sum(TIED[0][1:]) != sum(TIED[1][1:])
    table = make_table("ab", ["normal", "crackle"], TIED)
    positive, scores = findings(table)["abnormal"]
    assert scores[0] == scores[1]
    assert float(auroc(positive, scores)) == 0.5


@pytest.mark.parametrize("row", TIED)
def test_results_and_metrics_call_the_same_number_abnormal(row):
    segment = make_segment(0, 8, CLASSES, row)
    assert segment.abnormal == abnormal_probability(np.array(row)) == 1 - 0.7


def test_a_mean_that_exceeds_one_by_rounding_is_not_below_zero():
    assert abnormal_probability(np.array([np.nextafter(1, 2), 0.0])) == 0
