import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.icbhi_score import confusion_counts, icbhi_scores, per_class_recall, scores_of_confusion

NORMAL, CRACKLE, WHEEZE, BOTH = range(4)

CYCLES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)

# 10 normal cycles, 6 called normal; 8 abnormal ones, 3 given their class, 6 called abnormal.
TARGETS = [NORMAL] * 10 + [CRACKLE] * 4 + [WHEEZE] * 3 + [BOTH]
PREDICTIONS = [
    *[NORMAL] * 6, CRACKLE, CRACKLE, WHEEZE, BOTH,
    CRACKLE, CRACKLE, WHEEZE, NORMAL,
    WHEEZE, CRACKLE, NORMAL,
    CRACKLE,
]  # fmt: skip


def test_four_class_by_hand():
    assert icbhi_scores(TARGETS, PREDICTIONS) == {"specificity": 60.0, "sensitivity": 37.5, "score": 48.75}


def test_two_class_by_hand():
    assert icbhi_scores(TARGETS, PREDICTIONS, task="2class") == {
        "specificity": 60.0,
        "sensitivity": 75.0,
        "score": 67.5,
    }


def test_confusion_and_recall_by_hand():
    confusion = confusion_counts(TARGETS, PREDICTIONS, 4)
    assert confusion.tolist() == [[6, 2, 1, 1], [1, 2, 1, 0], [1, 1, 1, 0], [0, 1, 0, 0]]
    recall = per_class_recall(confusion)
    assert recall == {"normal": 60.0, "crackle": 50.0, "wheeze": pytest.approx(100 / 3), "both": 0.0}


def test_always_normal_scores_fifty():
    scores = icbhi_scores(TARGETS, [NORMAL] * len(TARGETS))
    assert scores == {"specificity": 100.0, "sensitivity": 0.0, "score": 50.0}


@pytest.mark.parametrize("as_input", [list, np.array, torch.tensor, lambda x: np.array(x, dtype=np.uint8)])
def test_lists_arrays_and_tensors(as_input):
    assert icbhi_scores(as_input(TARGETS), as_input(PREDICTIONS))["score"] == 48.75


@pytest.mark.parametrize(("target", "missing"), [(NORMAL, "sensitivity"), (BOTH, "specificity")])
def test_a_part_without_cycles_is_nan(target, missing):
    scores = icbhi_scores([target], [target])
    assert {name for name, value in scores.items() if math.isnan(value)} == {missing, "score"}
    assert math.isnan(per_class_recall(confusion_counts([target], [target], 4))["wheeze"])


@given(CYCLES)
def test_agrees_with_scikit_learn(cycles):
    targets, predictions = map(np.array, zip(*cycles, strict=True))
    confusion = confusion_counts(targets, predictions, 4)
    np.testing.assert_array_equal(
        confusion, sklearn_metrics.confusion_matrix(targets, predictions, labels=range(len(CLASSES)))
    )
    recall = sklearn_metrics.recall_score(
        targets, predictions, labels=range(len(CLASSES)), average=None, zero_division=np.nan
    )
    np.testing.assert_allclose(list(per_class_recall(confusion).values()), 100 * recall)
    two = icbhi_scores(targets, predictions, task="2class")
    for name, positive in (("specificity", 0), ("sensitivity", 1)):
        expected = sklearn_metrics.recall_score(
            targets > 0, predictions > 0, pos_label=positive, labels=[0, 1], zero_division=np.nan
        )
        np.testing.assert_allclose(two[name], 100 * expected)


@given(CYCLES)
def test_properties(cycles):
    targets, predictions = map(np.array, zip(*cycles, strict=True))
    four, two = (icbhi_scores(targets, predictions, task) for task in ("4class", "2class"))
    assert all(math.isnan(value) or 0 <= value <= 100 for value in four.values())
    np.testing.assert_array_equal(four["specificity"], two["specificity"])
    assert not four["sensitivity"] > two["sensitivity"]
    order = np.random.default_rng(0).permutation(len(targets))
    assert repr(icbhi_scores(targets[order], predictions[order])) == repr(four)
    assert all(math.isnan(value) or value == 100 for value in icbhi_scores(targets, targets).values())


@pytest.mark.parametrize("task", ["4class", "2class"])
def test_many_confusions_at_once(task):
    confusions = np.random.default_rng(0).integers(0, 9, size=(5, 3, 4, 4))
    stacked = scores_of_confusion(confusions, task)
    for i in np.ndindex(5, 3):
        single = scores_of_confusion(confusions[i], task)
        assert {name: values[i] for name, values in stacked.items()} == single


def test_another_number_of_classes():
    confusion = confusion_counts([0, 1, 2, 2], [0, 2, 2, 1], classes=3)
    assert scores_of_confusion(confusion)["sensitivity"] == pytest.approx(100 / 3)
    assert scores_of_confusion(confusion, "2class")["sensitivity"] == 100.0


@pytest.mark.parametrize(
    ("targets", "predictions", "message"),
    [
        ([0, 1], [0], "2 targets but 1 predictions"),
        ([0, 4], [0, 1], "targets: class 4 at position 1"),
        ([0, 1], [-1, 1], "predictions: class -1 at position 0"),
        ([], [], "targets of shape"),
        ([[0, 1]], [[0, 1]], "targets of shape"),
        ([0.0, 1.0], [0, 1], "type float64"),
        (["normal"], [0], "non-empty list of class indices"),
    ],
)
def test_bad_indices_are_refused(targets, predictions, message):
    with pytest.raises(LungSRADError, match=message):
        icbhi_scores(targets, predictions)


def test_unknown_task_and_wrong_labels_are_refused():
    with pytest.raises(LungSRADError, match="'binary' is unknown"):
        icbhi_scores([0], [0], task="binary")
    with pytest.raises(LungSRADError, match="do not fit 4 labels"):
        per_class_recall(np.eye(3))
