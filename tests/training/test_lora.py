"""A run with adapters: what it trains, keeps, resumes and exports."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from onnx_exporter import need_onnx
from speechbrain.inference.classifiers import EncoderClassifier
from toy import RECIPE, toy_arguments, write_toy_data

from lung_srad_plugin import DASSEncoder, smooth_blocks
from lung_srad_plugin.export.export import export_run
from lung_srad_plugin.nn.adapters import add_adapters, load_adapter_weights
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.training.recipe import main, train

pytestmark = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="needs peft, of the extra [lora]")
LORA = {"lora_rank": 2, "lora_alpha": 8, "lr": 0.05}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, train(toy_arguments(data, folder, **LORA))


def last_checkpoint(folder):
    return RunFolder(folder).find_checkpoint("last")


def read(path):
    return torch.load(path, weights_only=True)


def test_checkpoints_hold_adapters_and_heads(run):
    folder, results = run
    checkpoint = last_checkpoint(folder)
    weights = read(checkpoint / "adapters.ckpt")
    assert weights and all(".lora_" in name for name in weights)
    assert not (checkpoint / "embedding_model.ckpt").exists()
    adapters = results["training"]["adapters"]
    assert adapters["rank"] == 2 and adapters["targets"] is None
    assert adapters["parameters"] == sum(values.numel() for values in weights.values())
    assert results["parameters"] == sum(values.numel() for values in DASSEncoder([1, 2], [8, 16]).parameters())
    steps = read(checkpoint / "optimizer.ckpt")["state"]
    heads = [*read(checkpoint / "classifier.ckpt"), "0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"]
    assert len(steps) == len(weights) + len(heads)


def test_the_export_is_the_frozen_encoder_with_its_adapters(run, data, tmp_path):
    folder, _ = run
    exported = export_run(folder, tmp_path / "model", select="last")
    encoder = smooth_blocks(DASSEncoder([1, 2], [8, 16]), stage=1, blocks=[0, 1])
    encoder.load_state_dict(read(folder / "frozen_encoder.ckpt"))
    add_adapters(encoder, 2, 8.0)
    load_adapter_weights(encoder, read(last_checkpoint(folder) / "adapters.ckpt"), "adapters")
    stock = EncoderClassifier.from_hparams(source=str(exported), savedir=str(tmp_path / "cache"))
    weights, frozen = stock.mods.embedding_model.state_dict(), read(folder / "frozen_encoder.ckpt")
    changed = {name for name, values in weights.items() if not torch.equal(values, frozen[name])}
    assert changed and {name.split(".")[-2] for name in changed} == {"in_proj", "out_proj", "fc1", "fc2"}
    feats = torch.randn(3, 64, 128)
    with torch.no_grad():
        expected = encoder.eval()(feats)
        torch.testing.assert_close(stock.mods.embedding_model(feats), expected, atol=1e-5, rtol=1e-5)


def test_a_killed_run_resumes_to_the_same_adapters(run, data, tmp_path):
    whole, _ = run
    arguments = toy_arguments(data, tmp_path, "--ckpt_interval_steps", "2", **LORA)
    process = subprocess.Popen([sys.executable, str(RECIPE), *arguments], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 300
    while not list((tmp_path / "save").glob("CKPT*/whole.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "results.json").exists()
    train(arguments)
    ours, theirs = (read(last_checkpoint(folder) / "adapters.ckpt") for folder in (tmp_path, whole))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_another_rank_does_not_resume(run, data, capsys):
    folder, _ = run
    assert main(toy_arguments(data, folder, **{**LORA, "lora_rank": 4})) == 2
    assert "lora_rank" in capsys.readouterr().err


def test_what_cannot_be_is_refused(data, tmp_path, capsys):
    assert main(toy_arguments(data, tmp_path / "a", lora_rank=2, lora_targets="[query]")) == 2
    assert "the encoder has fc1, fc2, in_proj, out_proj" in " ".join(capsys.readouterr().err.split())
    assert main(toy_arguments(data, tmp_path / "b", lora_rank=2, probe=True)) == 2
    assert "lora_rank: 2; expected null" in " ".join(capsys.readouterr().err.split())


def test_onnx_is_written_of_the_merged_model(run, tmp_path):
    need_onnx()
    folder, _ = run
    export_run(folder, tmp_path / "model", onnx=True)
    assert (tmp_path / "model" / "model.onnx").is_file()
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["select"] == "valid"
