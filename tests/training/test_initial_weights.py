"""Initial weights of a model folder, by its path or by the name of the model that comes with the package."""

import re

import pytest
import torch
from tiny_model import build_modules
from toy import toy_arguments, write_toy_data

from lung_srad_plugin import CNNEncoder, DASSEncoder
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference import starter_model
from lung_srad_plugin.training.initial_weights import load_initial_weights
from lung_srad_plugin.training.recipe import train
from lung_srad_plugin.utils.provenance import file_sha256

SIZES = {"depths": "[1,1]", "dims": "[16,32]", "gaussian_blocks": "[0]"}


@pytest.fixture
def packaged(model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(starter_model, "FOLDER", model_folder)
    monkeypatch.chdir(tmp_path)
    return model_folder


def settings(encoder, source, sha256=None):
    return {"embedding_model": encoder, "pretrained": source, "pretrained_sha256": sha256, "save_folder": "save"}


@pytest.mark.parametrize("source", ["starter", "folder"])
def test_the_encoder_gets_the_weights_of_the_model(packaged, source):
    encoder = DASSEncoder([1, 1], [16, 32])
    found = load_initial_weights(settings(encoder, "starter" if source == "starter" else packaged))
    expected = build_modules(seed=1)[0].state_dict()
    assert set(expected) == set(encoder.state_dict())
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, expected[key]), key
    assert found["sha256"] == file_sha256(packaged / "embedding_model.safetensors")


@pytest.mark.parametrize(
    ("encoder", "cure"),
    [
        (DASSEncoder([1, 2], [8, 16]), '--depths "[1, 1]" --dims "[16, 32]"'),
        (DASSEncoder([1, 1], [16, 32], norm="batch"), "--encoder_norm layer"),
    ],
)
def test_another_size_is_refused_with_the_settings_that_fit(packaged, encoder, cure):
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with pytest.raises(LungSRADError, match=rf"starter does not fit .*add {re.escape(cure)}$"):
        load_initial_weights(settings(encoder, "starter"))
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_another_kind_of_encoder_is_refused(packaged):
    with pytest.raises(LungSRADError, match="starter is a DASSEncoder, the one to train a CNNEncoder"):
        load_initial_weights(settings(CNNEncoder([16, 32]), "starter"))


def test_another_checksum_is_refused(packaged):
    with pytest.raises(LungSRADError, match="its SHA-256 is"):
        load_initial_weights(settings(DASSEncoder([1, 1], [16, 32]), "starter", "f" * 64))


def test_a_file_of_that_name_is_not_taken_for_the_model(packaged, tmp_path):
    (tmp_path / "starter").write_text("weights")
    with pytest.raises(LungSRADError, match=r"\./starter"):
        load_initial_weights(settings(DASSEncoder([1, 1], [16, 32]), "starter"))


def test_training_begins_with_it_and_its_record_names_it(packaged, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    changes = {**SIZES, "pretrained": "starter", "lr": "1.0e-12", "number_of_epochs": 1}
    results = train(toy_arguments(write_toy_data(data), tmp_path / "run", **changes))
    assert results["pretrained"]["source"] == "starter"
    trained = torch.load(tmp_path / "run" / "export" / "embedding_model.ckpt", weights_only=True)
    for key, value in build_modules(seed=1)[0].state_dict().items():
        torch.testing.assert_close(trained[key], value, atol=1e-6, rtol=0)
