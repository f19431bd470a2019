"""Published weights by a name on the Hugging Face hub: without a network, from its cache, or from a folder."""

import shutil

import huggingface_hub
import pytest
import torch

from lung_srad_plugin import CNNEncoder, DASSEncoder, LungSRADError
from lung_srad_plugin.encoders import pretrained
from lung_srad_plugin.encoders.pretrained import load_pretrained
from lung_srad_plugin.training.initial_weights import load_initial_weights
from lung_srad_plugin.utils.provenance import file_sha256

SIZES = {"depths": [1, 1], "dims": [8, 16]}
NAME = "saurabhbati/DASS_medium_AudioSet_50.2"


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def test_without_a_network_the_files_and_where_to_put_them_are_named(no_network, tmp_path):
    with pytest.raises(
        LungSRADError,
        match=r"50\.2 cannot be fetched .*download model\.safetensors of https://huggingface\.co/saurabhbati/DASS_medium"
        r"_AudioSet_50\.2 yourself, put it into a folder, and give --pretrained FOLDER",
    ):
        load_pretrained(DASSEncoder(**SIZES), NAME, tmp_path)


def test_without_a_network_the_cache_of_the_hub_is_used(no_network, hub_file, tmp_path):
    repository = tmp_path / "cache" / "models--saurabhbati--DASS_medium_AudioSet_50.2"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    shutil.copyfile(hub_file, snapshot / "model.safetensors")
    assert load_pretrained(DASSEncoder([1, 1, 4, 1], [16, 32, 64, 128]), NAME, tmp_path) == file_sha256(hub_file)


def test_a_name_is_fetched_from_the_hub(monkeypatch, hub_file, tmp_path):
    asked = []

    def fetch(file, source, savedir):
        asked.append((file, source.FetchFrom.name, source.path, savedir))
        return hub_file

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretrained, "fetch", fetch)
    for name in (NAME, f"hf://{NAME}"):
        found = load_pretrained(DASSEncoder([1, 1, 4, 1], [16, 32, 64, 128]), name, tmp_path)
        assert found == file_sha256(hub_file)
    assert asked == [("model.safetensors", "HUGGING_FACE", NAME, None)] * 2


@pytest.mark.parametrize("source", ["weights/DASS_medium_v2.pth", "./owner/name", "a/b/c", "here/name"])
def test_what_looks_like_a_path_is_never_looked_up(monkeypatch, tmp_path, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(pretrained, "fetch", lambda *_: pytest.fail("asked the hub"))
    with pytest.raises(LungSRADError, match=r"does not exist; get DASS_medium_v2\.pth"):
        load_pretrained(DASSEncoder(**SIZES), source, tmp_path)


def test_an_encoder_without_weights_on_the_hub_does_not_ask_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretrained, "fetch", lambda *_: pytest.fail("asked the hub"))
    with pytest.raises(LungSRADError, match=r"owner/name does not exist; .*--pretrained null"):
        load_pretrained(CNNEncoder([4, 8]), "owner/name", tmp_path)


def test_a_folder_of_the_hub_is_no_model_folder(hub_file, tmp_path):
    folder = tmp_path / "downloaded"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(hub_file.read_bytes())
    (folder / "config.json").write_text('{"model_type": "dass"}', encoding="utf-8")
    encoder = DASSEncoder([1, 1, 4, 1], [16, 32, 64, 128])
    before = encoder.norm.weight.clone()
    settings = {"embedding_model": encoder, "pretrained": str(folder), "pretrained_sha256": None, "save_folder": "x"}
    assert load_initial_weights(settings) == {"source": str(folder), "sha256": file_sha256(hub_file)}
    assert not torch.equal(encoder.norm.weight, before)


@pytest.fixture
def hub_file(golden):
    """Weights in the layout of the hub, as DASS v3 has it."""
    return golden / "hub_layout_11.safetensors"
