"""A training that diverges: it stops with one sentence, and the last good epoch stays."""

import json

import numpy as np
import pytest
import torch
import yaml
from toy import toy_arguments, write_toy_data

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.training.brain import LungSoundBrain
from lung_srad_plugin.training.predictions import Predictions, check_finite
from lung_srad_plugin.training.recipe import main, train

STEPS = 6  # of an epoch of the toy data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def spoil_weights(monkeypatch):
    """Make the steps of an epoch end with other weights of the classifier, from the given step on."""

    def spoil(value, epoch, step):
        def on_fit_batch_end(brain, *_):
            if brain.epoch == epoch and brain.step >= step:
                with torch.no_grad():
                    brain.modules.model.classifier.linear.weight.fill_(value)

        monkeypatch.setattr(LungSoundBrain, "on_fit_batch_end", on_fit_batch_end)

    return spoil


def saved_epochs(folder):
    """The epochs of the checkpoints, None for one within an epoch."""
    metas = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in folder.glob("save/CKPT*/CKPT.yaml")]
    return [meta.get("epoch") for meta in metas]


def refusal(capsys, arguments):
    assert main(arguments) == 2
    message = " ".join(capsys.readouterr().err.rpartition("error:")[2].split())
    assert "Traceback" not in message
    return message


def test_huge_rate_stops_at_the_first_loss_that_is_not_finite(data, tmp_path, capsys):
    """Three steps an epoch are within the patience of SpeechBrain, which starts anew with each epoch."""
    message = refusal(capsys, toy_arguments(data, tmp_path, lr="1.0e6", batch_size=8))
    assert message.startswith("epoch 1, step 2: the loss is not finite")
    assert saved_epochs(tmp_path) == []
    assert not (tmp_path / "results.json").exists()


def test_weights_spoiled_in_the_last_step_of_an_epoch_are_not_saved(data, tmp_path, capsys, spoil_weights, monkeypatch):
    arguments = toy_arguments(data, tmp_path)
    spoil_weights(float("nan"), epoch=2, step=STEPS)
    message = refusal(capsys, arguments)
    assert message.startswith("epoch 2: the weights are not finite")
    assert "--test_only evaluates the epochs up to 1" in message
    assert saved_epochs(tmp_path) == [1]

    results = train([*arguments, "--test_only"])
    assert {rule: scores["epoch"] for rule, scores in results["selected"].items()} == {"valid": 1, "last": 1}
    assert [entry["epoch"] for entry in json.loads((tmp_path / "results.json").read_text())["history"]] == [1]

    # With the cause gone, the run resumes from its last good epoch.
    monkeypatch.undo()
    assert train(arguments)["selected"]["last"]["epoch"] == 3


def test_weights_spoiled_within_an_epoch_are_not_saved(data, tmp_path, capsys, spoil_weights):
    spoil_weights(float("nan"), epoch=1, step=4)
    message = refusal(capsys, toy_arguments(data, tmp_path, "--ckpt_interval_steps", "2"))
    assert message.startswith("epoch 1, step 4: the weights are not finite")
    (checkpoint,) = tmp_path.glob("save/CKPT*")
    assert torch.load(checkpoint / "classifier.ckpt", weights_only=True)["linear.weight"].isfinite().all()


def test_outputs_that_are_not_finite_are_refused(data, tmp_path, capsys, spoil_weights):
    """Finite weights can be so large that their products are not."""
    spoil_weights(3e38, epoch=2, step=STEPS)
    message = refusal(capsys, toy_arguments(data, tmp_path))
    assert message.startswith(
        "epoch 2, validation: 8 of 8 outputs of the model are not finite, the first for cycle valid000"
    )
    assert saved_epochs(tmp_path) == [1]


def test_one_output_that_is_not_finite_is_named():
    log_probs = np.log(np.full((3, 2), 0.5))
    check_finite(Predictions(["a", "b", "c"], np.zeros(3), log_probs), "test")
    log_probs[1, 1] = -np.inf
    with pytest.raises(LungSRADError, match=r"test: 1 of 3 outputs .* cycle b"):
        check_finite(Predictions(["a", "b", "c"], np.zeros(3), log_probs), "test")


def test_patience_with_losses_that_are_not_finite_is_refused(data, tmp_path, capsys):
    assert "--nonfinite_patience 5" in refusal(capsys, toy_arguments(data, tmp_path, "--nonfinite_patience", "5"))
