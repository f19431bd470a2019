"""The scores of the SPRSound challenge, against numbers computed by hand."""

import numpy as np
import pytest

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.metrics.sprsound_score import sprsound_scores, sprsound_scores_of_confusion
from lung_srad_plugin.metrics.table_metrics import METRICS, compute_metrics


def test_task_1_1_by_hand():
    # 10 normal events, 8 of them found; 5 adventitious ones, 2 found. AS = (80 + 40) / 2, HS = 2 * 80 * 40 / 120.
    targets = [0] * 10 + [1] * 5
    predictions = [0] * 8 + [1] * 2 + [1] * 2 + [0] * 3
    scores = sprsound_scores(targets, predictions, classes=2)
    assert scores["SP"] == 80 and scores["SE"] == 40 and scores["AS"] == 60
    assert scores["HS"] == pytest.approx(53 + 1 / 3)
    assert scores["Score"] == pytest.approx(56 + 2 / 3)


def test_task_1_2_counts_the_exact_class_only():
    # Of 4 adventitious events one has its class, one is called another adventitious class, two are called normal.
    scores = sprsound_scores([0, 0, 1, 2, 3, 6], [0, 0, 1, 3, 0, 0], classes=7)
    assert (scores["SE"], scores["SP"], scores["AS"], scores["HS"], scores["Score"]) == (25, 100, 62.5, 40, 51.25)


def test_poor_quality_counts_with_the_adventitious_recordings():
    # Task 2-1: of 2 adventitious and 2 poor recordings 3 are correct, of 4 normal ones 3.
    scores = sprsound_scores([0, 0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 2, 1, 2, 2, 2], classes=3)
    assert scores == {"SE": 75, "SP": 75, "AS": 75, "HS": 75, "Score": 75}


def test_always_normal_and_never_normal_get_a_quarter():
    for prediction in (0, 1):
        scores = sprsound_scores([0, 0, 1, 1], [prediction] * 4, classes=2)
        assert (scores["AS"], scores["HS"], scores["Score"]) == (50, 0, 25)


def test_reports_with_harmonic_scores_have_the_same_numbers():
    targets, predictions = [0, 0, 0, 0, 1, 2, 2, 3], [0, 0, 0, 1, 1, 2, 1, 0]
    labels = ["normal", "crackle", "wheeze", "both"]
    names = [str(number) for number in range(8)]
    table = make_table(names, [labels[target] for target in targets], np.eye(4)[predictions] * 0.96 + 0.01, labels)
    values, scores = compute_metrics(table, harmonic=True), sprsound_scores(targets, predictions, classes=4)
    assert values["harmonic_strict_class"] == pytest.approx(scores["HS"]) == pytest.approx(60)
    assert values["sprsound_score_strict_class"] == pytest.approx(scores["Score"]) == pytest.approx(61.25)
    assert set(values) - {f"recall_{label}" for label in labels} == set(METRICS)
    assert "sprsound_score_strict_class" not in compute_metrics(table)


def test_many_matrices_at_once():
    confusion = np.array([[[8, 2], [3, 2]], [[1, 1], [0, 2]]])
    stacked = sprsound_scores_of_confusion(confusion)
    for index in range(2):
        for name, value in sprsound_scores_of_confusion(confusion[index]).items():
            assert isinstance(value, float)
            assert stacked[name][index] == pytest.approx(value)


def test_without_adventitious_events_there_is_no_score():
    scores = sprsound_scores([0, 0], [0, 1], classes=2)
    assert scores["SP"] == 50
    assert all(np.isnan(scores[name]) for name in ("SE", "AS", "HS", "Score"))


def test_unknown_classes_are_refused():
    with pytest.raises(LungSRADError, match="class 2 at position 1"):
        sprsound_scores([0, 2], [0, 1], classes=2)
