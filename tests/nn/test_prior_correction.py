"""Shares of normal cycles by data set, and what adding them to a loss makes a model learn."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.nn.prior_correction import log_shares

CLASSES = ["normal", "crackle", "wheeze", "both"]


def test_shares_are_those_of_each_data_set():
    labels = ["normal", "wheeze", "both", "crackle", "normal", "normal", "normal", "wheeze"]
    shares = log_shares(labels, ["icbhi"] * 4 + ["sprsound"] * 4, CLASSES)
    torch.testing.assert_close(shares["icbhi"].exp(), torch.tensor([0.25, 0.75, 0.75, 0.75]))
    torch.testing.assert_close(shares["sprsound"].exp(), torch.tensor([0.75, 0.25, 0.25, 0.25]))


def test_a_train_manifest_without_data_sets_is_one():
    assert log_shares(["normal", "wheeze"], [None, None], CLASSES).keys() == {None}


@pytest.mark.parametrize(("label", "count"), [("normal", 2), ("wheeze", 0)])
def test_a_data_set_with_one_kind_of_cycle_is_refused(label, count):
    with pytest.raises(LungSRADError, match=f"data set kauh of the train manifest has {count} normal of 2 cycles"):
        log_shares([label] * 2 + ["normal", "wheeze"], ["kauh"] * 2 + ["icbhi"] * 2, CLASSES)


def test_the_model_learns_probabilities_for_equal_shares():
    """Two data sets whose sounds are alike but whose shares differ: a constant model ends at the likelihoods."""
    counts = {"a": {"normal": 80, "crackle": 15, "wheeze": 5}, "b": {"normal": 20, "crackle": 60, "wheeze": 20}}
    rows = [(label, name) for name, of in counts.items() for label, count in of.items() for _ in range(count)]
    labels, names = zip(*rows, strict=True)
    shares = log_shares(labels, names, CLASSES[:3])
    offsets = torch.stack([shares[name] for name in names])
    targets = torch.tensor([CLASSES.index(label) for label in labels])
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = cross_entropy(logits + offsets, targets)
        value.backward()
        return value

    optimizer.step(loss)
    # Of abnormal cycles three in four are crackles in both data sets, and normal is as common as abnormal.
    torch.testing.assert_close(logits.softmax(0), torch.tensor([0.5, 0.375, 0.125]), atol=1e-3, rtol=0)
