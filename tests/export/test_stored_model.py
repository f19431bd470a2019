"""A model folder is read with checks: what is refused, in which words, and before anything of it is built."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.export import stored_model
from lung_srad_plugin.export.model_folder import WEIGHTS, read_card
from lung_srad_plugin.export.stored_model import read_model
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.utils.provenance import file_sha256

NORM = "norm.weight"


@pytest.fixture
def folder(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


def load(folder, **options):
    return LungSoundClassifier.from_hparams(source=folder, **{"run_opts": {"device": "cpu"}, **options})


def change_config(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    config.update(values)
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v != "absent"}))


def rehash(folder):
    """Let the folder carry the hashes of its files as they are: hashes protect against accidents only."""
    files = json.loads((folder / "config.json").read_text())["files"]
    change_config(folder, files={name: file_sha256(folder / name) for name in files if (folder / name).is_file()})


def change_weights(folder, change, name="embedding_model"):
    """Change the weights in both files."""
    weights = torch.load(folder / f"{name}.ckpt", weights_only=True)
    change(weights)
    torch.save(weights, folder / f"{name}.ckpt")
    save_file(weights, folder / f"{name}.safetensors")
    rehash(folder)


def replace_weights(folder, content, name="classifier"):
    """Leave a single file of weights: what torch saves of ``content``, or these bytes."""
    (folder / f"{name}.safetensors").unlink()
    if isinstance(content, bytes):
        (folder / f"{name}.ckpt").write_bytes(content)
    else:
        torch.save(content, folder / f"{name}.ckpt")
    rehash(folder)


def change_yaml(folder, old, new):
    text = (folder / "hyperparams.yaml").read_text()
    assert old in text
    (folder / "hyperparams.yaml").write_text(text.replace(old, new))
    rehash(folder)


def write_labels(folder, *names):
    lines = [f"'{name}' => {index}" for index, name in enumerate(names)]
    text = "\n".join([*lines, "================", "'starting_index' => 0\n"])
    (folder / "label_encoder.ckpt").write_text(text)
    rehash(folder)


def write_rehashed(folder, name, content):
    (folder / name).write_bytes(content)
    rehash(folder)


# ---- files that are missing ----


@pytest.mark.parametrize("name", ["config.json", "hyperparams.yaml", "label_encoder.ckpt"])
def test_each_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(LungSRADError, match=rf"{name}: the file is missing"):
        load(folder)


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_read_from_either_file_and_named_where_both_are_missing(folder, name):
    (folder / f"{name}.ckpt").unlink()
    load(folder)
    (folder / f"{name}.safetensors").unlink()
    with pytest.raises(LungSRADError, match=rf"{name}.ckpt: the file is missing"):
        load(folder)


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "embedding_model.safetensors", "classifier.safetensors"])
def test_files_that_are_not_needed_may_be_missing(folder, name):
    (folder / name).unlink()
    assert load(folder).labels == ("normal", "crackle", "wheeze", "both")


def test_safetensors_are_read_first(folder):
    weights = load_file(folder / "embedding_model.safetensors")
    weights[NORM] = weights[NORM] + 1
    save_file(weights, folder / "embedding_model.safetensors")
    rehash(folder)
    assert torch.equal(read_model(folder).modules["embedding_model"].state_dict()[NORM], weights[NORM])


# ---- files that are faulty ----

HEAD = "linear.weight"
FOLDERS = {
    "missing weight": (lambda f: change_weights(f, lambda w: w.pop(NORM)), f"missing {NORM}"),
    "unexpected weight": (lambda f: change_weights(f, lambda w: w.update(x=torch.zeros(1))), "unexpected x"),
    "misshapen weight": (
        lambda f: change_weights(f, lambda w: w.update({HEAD: torch.zeros(5, 32)}), "classifier"),
        rf"{HEAD} is \(5, 32\) instead of \(4, 32\)",
    ),
    "whole numbers": (
        lambda f: change_weights(f, lambda w: w.update({HEAD: torch.zeros(4, 32, dtype=torch.int64)}), "classifier"),
        rf"{HEAD} is \(4, 32\) of whole numbers instead of \(4, 32\)",
    ),
    "complex": (
        lambda f: replace_weights(f, {HEAD: torch.zeros(4, 32, dtype=torch.complex64)}),
        f"{HEAD} is of type complex64; expected dense",
    ),
    "sparse": (
        lambda f: replace_weights(f, {HEAD: torch.eye(4, 32).to_sparse()}), f"{HEAD} is a sparse_coo tensor"
    ),
    "sparse rows": (
        lambda f: replace_weights(f, {HEAD: torch.eye(4, 32).to_sparse_csr()}), f"{HEAD} is a sparse_csr tensor"
    ),
    "meta": (
        lambda f: replace_weights(f, {HEAD: torch.empty(4, 32, device="meta")}), f"{HEAD} is a meta tensor"
    ),
    "quantized": (
        lambda f: replace_weights(f, {HEAD: torch.quantize_per_tensor(torch.zeros(4, 32), 0.1, 0, torch.qint8)}),
        f"{HEAD} is of type qint8",
    ),
    "a number for a weight": (lambda f: replace_weights(f, {HEAD: 1.5}), f"{HEAD} is float"),
    "names that are numbers": (lambda f: replace_weights(f, {1: torch.zeros(1)}), "holds no weights by name"),
    "a list for weights": (lambda f: replace_weights(f, [1]), "holds no weights by name"),
    "a whole module": (lambda f: replace_weights(f, torch.nn.Linear(1, 1)), "not a readable file of weights"),
    "empty weights": (lambda f: replace_weights(f, b""), "not a readable file of weights"),
    "text for weights": (lambda f: replace_weights(f, b"git-lfs"), "not a readable file of weights"),
    "weights cut off": (
        lambda f: replace_weights(f, (f / "classifier.ckpt").read_bytes()[:1000]), "not a readable file of weights"
    ),
    "safetensors cut off": (
        lambda f: write_rehashed(f, "classifier.safetensors", (f / "classifier.safetensors").read_bytes()[:200]),
        "classifier.safetensors: not a readable file of weights",
    ),
    "text for safetensors": (
        lambda f: write_rehashed(f, "classifier.safetensors", b"git-lfs"),
        "classifier.safetensors: not a readable file of weights",
    ),
    "foreign labels": (
        lambda f: write_labels(f, "dog", "cat", "owl", "cow"), "holds the labels dog, cat, owl, cow, but"
    ),
    "labels in another order": (
        lambda f: write_labels(f, "crackle", "normal", "wheeze", "both"), "holds the labels crackle"
    ),
    "too few labels": (lambda f: write_labels(f, "normal", "crackle"), "holds the labels normal, crackle, but"),
    "text for labels": (lambda f: write_rehashed(f, "label_encoder.ckpt", b"hello"), "not a label encoder"),
    "bytes for labels": (lambda f: write_rehashed(f, "label_encoder.ckpt", b"\xff\xfe"), "not a UTF-8 text file"),
    "labels nested deeply": (
        lambda f: write_rehashed(f, "label_encoder.ckpt", b"(" * 100_000 + b" => 0\n======\n"), "not a label encoder"
    ),
    "endless labels": (
        lambda f: write_rehashed(f, "label_encoder.ckpt", b"x" * 2_000_000), "2,000,000 bytes; expected at most"
    ),
    "other rate": (lambda f: change_config(f, sample_rate=8000), "sample_rate is 16000, .* trained with 8000"),
    "other frames": (lambda f: change_yaml(f, "frames: 128", "frames: 64"), "frames is 64, .* trained with 128"),
    "no yaml": (lambda f: write_rehashed(f, "hyperparams.yaml", b"{: ["), "hyperparams.yaml, line 1: not valid yaml"),
    "yaml in UTF-16": (
        lambda f: write_rehashed(f, "hyperparams.yaml", "a: 1".encode("utf-16")), "yaml: not a UTF-8 text file"
    ),
    "a wrong value": (lambda f: change_yaml(f, "classes: 4", "classes: four"), "the model cannot be built"),
    "no pretrainer": (lambda f: change_yaml(f, "pretrainer:", "trainer:"), "the key 'pretrainer' is missing"),
    "modules a list": (
        lambda f: change_yaml(f, "modules:\n", "modules: [1]\nothers:\n"), "'modules' holds no modules by name"
    ),
    "a module a number": (
        lambda f: change_yaml(f, "    classifier: !ref <classifier>\nlabel", "    classifier: 1\nlabel"),
        "modules has no 'classifier'",
    ),
    "a loadable less": (
        lambda f: change_yaml(f, "        classifier: !ref <classifier>\n", ""), "must load .* from the folder itself"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_faulty_folder_is_refused(folder, kind):
    change, message = FOLDERS[kind]
    change(folder)
    with pytest.raises(LungSRADError, match=message) as caught:
        load(folder)
    assert str(folder) in str(caught.value)


HASHED = ["hyperparams.yaml", "label_encoder.ckpt", *(f"{n}.{end}" for n in WEIGHTS for end in ("ckpt", "safetensors"))]


@pytest.mark.parametrize("name", HASHED)
def test_a_changed_file_is_named_before_anything_is_built(folder, name, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("something was built or read")

    for function in ("_build", "load_weights", "CategoricalEncoder", "build_checked", "load_hyperpyyaml"):
        monkeypatch.setattr(stored_model, function, refuse)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    for trust_code in (False, True):
        with pytest.raises(LungSRADError, match=rf"{name}: not the file that this model was exported with"):
            load(folder, trust_code=trust_code)


def test_a_training_run_is_no_model(run_folder):
    with pytest.raises(LungSRADError, match=r"output of a training run, not a model; use .*export"):
        load(run_folder)


def test_an_override_that_matches_nothing_is_refused(model_folder):
    with pytest.raises(LungSRADError, match="the model cannot be built"):
        load(model_folder, overrides={"no_such_key": 1})
    with pytest.raises(LungSRADError, match="no such hyperparameter file"):
        load(model_folder, hparams_file="other.yaml")


# ---- the card ----


def test_a_card_that_is_no_text_is_refused(folder):
    (folder / "README.md").write_bytes(b"# caf\xe9")
    with pytest.raises(LungSRADError, match=r"README.md: not a UTF-8 text file \(byte 5"):
        read_card(folder)
    (folder / "README.md").unlink()
    with pytest.raises(LungSRADError, match=r"README.md: the model has no card"):
        read_card(folder)


def test_control_characters_of_a_card_do_not_reach_the_terminal(folder):
    (folder / "README.md").write_text("a\x1b]0;title\x07b\u202ec\n\td", encoding="utf-8")
    assert read_card(folder) == "a\ufffd]0;title\ufffdb\ufffdc\n\td"
