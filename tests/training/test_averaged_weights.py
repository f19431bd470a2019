"""The moving average of the weights: its definition, what is validated and saved, and resuming."""

import json
from pathlib import Path

import pytest
import torch
from speechbrain.inference.classifiers import EncoderClassifier
from toy import toy_arguments, write_toy_data

from lung_srad_plugin.training.averaged_weights import AveragedWeights
from lung_srad_plugin.training.recipe import main, train

OFF = {"alpha_time": 0.0, "alpha_frequency": 0.0, "encoder_norm": "batch", "number_of_epochs": 2, "ema_decay": 0.7}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("data"))


def averages_by_definition(states, decay):
    """Average the weights of each step, one tensor after another."""
    average = {name: values.clone() for name, values in states[0].items()}
    for number, state in enumerate(states[1:], start=1):
        kept = min(decay, (1 + number) / (10 + number))
        for name, values in state.items():
            average[name] = kept * average[name] + (1 - kept) * values if values.is_floating_point() else values
    return average


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A finished run, and the model's weights after each of its steps."""
    folder, states = tmp_path_factory.mktemp("run"), []
    update = AveragedWeights.update_parameters

    def record(averaged, model):
        states.append({name: values.clone() for name, values in model.state_dict().items()})
        update(averaged, model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AveragedWeights, "update_parameters", record)
        train(toy_arguments(data, folder, **OFF))
    return folder, states


def last_checkpoint(folder):
    return max((folder / "save").glob("CKPT*"), key=lambda path: path.stat().st_mtime_ns)


def encoder_weights(states):
    return {name.removeprefix("encoder."): values for name, values in states.items() if name.startswith("encoder.")}


def test_the_checkpoint_has_the_average_as_the_model_and_the_last_weights_apart(run):
    folder, states = run
    assert len(states) == 12
    saved = torch.load(last_checkpoint(folder) / "embedding_model.ckpt", weights_only=True)
    expected = encoder_weights(averages_by_definition(states, 0.7))
    assert any("running_mean" in name for name in saved)
    assert saved.keys() == expected.keys()
    for name, values in saved.items():
        torch.testing.assert_close(values, expected[name], rtol=1e-4, atol=1e-6)
    kept = torch.load(last_checkpoint(folder) / "trained_weights.ckpt", weights_only=True)
    assert kept["n_averaged"] == 12
    for name, values in states[-1].items():
        torch.testing.assert_close(kept[f"module.{name}"], values, rtol=0, atol=0)
    assert any(not torch.equal(saved[name], encoder_weights(states[-1])[name]) for name in saved)


def test_the_exported_model_is_the_average(run):
    folder, states = run
    selected = json.loads((folder / "results.json").read_text(encoding="utf-8"))["selected"]["valid"]["epoch"]
    stock = EncoderClassifier.from_hparams(str(folder / "export"), savedir=folder / "stock")
    expected = encoder_weights(averages_by_definition(states[: 6 * selected], 0.7))
    for name, values in stock.mods.embedding_model.state_dict().items():
        torch.testing.assert_close(values, expected[name], rtol=1e-4, atol=1e-6)


def test_a_stopped_run_resumes_with_the_trained_weights(run, data, tmp_path, monkeypatch):
    whole, _ = run
    arguments = toy_arguments(data, tmp_path, "--ckpt_interval_steps", "2", **OFF)
    update = AveragedWeights.update_parameters

    def stop_in_the_second_epoch(averaged, model):
        if averaged.n_averaged == 11:
            raise KeyboardInterrupt
        update(averaged, model)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(AveragedWeights, "update_parameters", stop_in_the_second_epoch)
        train(arguments)
    assert "end-of-epoch: false" in (last_checkpoint(tmp_path) / "CKPT.yaml").read_text(encoding="utf-8")

    train(arguments)
    for part in ("embedding_model", "classifier", "trained_weights"):
        ours, theirs = (
            torch.load(last_checkpoint(folder) / f"{part}.ckpt", weights_only=True) for folder in (tmp_path, whole)
        )
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    histories = [json.loads(Path(folder, "results.json").read_text())["history"] for folder in (tmp_path, whole)]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("decay", [0, 1, -0.5, 2])
def test_a_decay_outside_is_refused(data, tmp_path, capsys, decay):
    assert main(toy_arguments(data, tmp_path, **{**OFF, "ema_decay": decay})) == 2
    assert "ema_decay" in capsys.readouterr().err
