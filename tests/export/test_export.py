"""Exporting: what a model folder holds, that it appears complete or not at all, and what its card says."""

import errno
import json
import re
import shutil

import pytest
import torch
from huggingface_hub import ModelCard
from ruamel.yaml import YAML
from safetensors.torch import load_file
from speechbrain.inference.classifiers import EncoderClassifier
from tiny_model import build_modules, write_run

from lung_srad_plugin import CycleFeatures, LungSRADError
from lung_srad_plugin.export import export
from lung_srad_plugin.export.export import export_checkpoint, export_run
from lung_srad_plugin.export.model_card import write_card
from lung_srad_plugin.export.model_config import ModelConfig
from lung_srad_plugin.export.model_folder import NEEDED, read_config
from lung_srad_plugin.utils.files import RECORD, record_folder

FILES = {*NEEDED, "embedding_model.safetensors", "classifier.safetensors", "README.md", "LICENSE"}


def weights_of(folder):
    return torch.load(folder / "embedding_model.ckpt", weights_only=True)


def test_the_folder_holds_these_files_and_nothing_else(model_folder):
    assert {path.name for path in model_folder.iterdir()} == {*FILES, RECORD}
    assert not [path.name for path in model_folder.parent.iterdir() if path.name != "model"]
    assert "Apache License" in (model_folder / "LICENSE").read_text()


def test_hyperparams_are_plain(model_folder):
    text = (model_folder / "hyperparams.yaml").read_text()
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert not re.search(r"[&*]id\d|#|/|scan_backend|checkpointing|getitem|!apply:len", body)
    tree = YAML().load(text)
    assert (tree["classifier"]["input_size"], tree["classifier"]["classes"]) == (32, 4)
    assert tree["embedding_model"]["encoder"]["dims"] == [16, 32]
    assert tree["embedding_model"]["blocks"] == [0] and tree["embedding_model"]["sigma"] == 1.0


def test_safetensors_hold_the_weights_of_the_checkpoint(model_folder):
    found, expected = load_file(model_folder / "embedding_model.safetensors"), weights_of(model_folder)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_config_says_what_the_model_is(model_folder):
    config = json.loads((model_folder / "config.json").read_text())
    assert config["labels"] == ["normal", "crackle", "wheeze", "both"]
    assert (config["format"], config["sample_rate"], config["duration"], config["frames"]) == (1, 16000, 8.0, 128)
    assert (config["select"], config["epoch"], config["seed"], config["data"]) == ("valid", 1, 1, "ICBHI")
    assert {"lung-srad", "torch", "speechbrain", "python"} <= config["versions"].keys()
    assert config["model"] == f"tiny-{config['files']['embedding_model.ckpt'][:8]}"


@pytest.mark.parametrize(("select", "epoch"), [("valid", 1), ("last", 2)])
def test_the_selected_checkpoint_is_exported(run_folder, tmp_path, select, epoch):
    folder = export_run(run_folder, tmp_path / "model", select)
    expected = build_modules(seed=epoch)[0].state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in weights_of(folder).items())
    assert json.loads((folder / "config.json").read_text())["epoch"] == epoch


def test_a_selection_that_the_run_does_not_have_is_refused(run_folder, tmp_path):
    with pytest.raises(LungSRADError, match=r"of an epoch from which 'test' could select; .*--report_test_selected"):
        export_run(run_folder, tmp_path / "model", "test")
    with pytest.raises(LungSRADError, match="select='best'; expected one of valid, last, test"):
        export_run(run_folder, tmp_path / "model", "best")
    assert not (tmp_path / "model").exists()


def test_an_incomplete_checkpoint_is_not_selected(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "save" / "CKPT+epoch2" / "whole.ckpt").unlink()
    folder = export_run(run, tmp_path / "model", "last")
    assert json.loads((folder / "config.json").read_text())["epoch"] == 1


def test_the_stock_class_gives_the_outputs_of_the_training_modules(model_folder, tmp_path):
    moved = shutil.copytree(model_folder, tmp_path / "moved")
    stock = EncoderClassifier.from_hparams(source=str(moved), run_opts={"device": "cpu"})
    encoder, head = build_modules(seed=1)
    clip = 0.1 * torch.randn(1, 60000)
    with torch.no_grad():
        feats = stock.mods.mean_var_norm(stock.mods.compute_features(clip))
        expected = head(encoder.encode(encoder.embed(feats)))
    torch.testing.assert_close(stock.classify_batch(clip)[0], expected, atol=1e-5, rtol=0)


def test_an_earlier_export_is_replaced_as_a_whole(run_folder, tmp_path):
    folder = export_run(run_folder, tmp_path / "model", "last")
    (folder / "model.onnx").write_bytes(b"of the earlier model")
    record_folder(folder)
    export_run(run_folder, folder, "valid")
    assert {path.name for path in folder.iterdir()} == {*FILES, RECORD}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_nothing_else_is_ever_replaced(run_folder, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("my thesis")
    with pytest.raises(LungSRADError, match=r"thesis\.txt: already there"):
        export_run(run_folder, folder)
    with pytest.raises(LungSRADError, match="a file is there"):
        export_run(run_folder, folder / "thesis.txt")
    assert (folder / "thesis.txt").read_text() == "my thesis"


def test_a_card_that_somebody_edited_is_not_replaced(run_folder, tmp_path):
    folder = export_run(run_folder, tmp_path / "model")
    (folder / "README.md").write_text("my own words on this model")
    with pytest.raises(LungSRADError, match=r"README\.md: already there"):
        export_run(run_folder, folder)
    assert (folder / "README.md").read_text() == "my own words on this model"


@pytest.mark.parametrize("stage", ["copyfile", "write_bytes", "rename"])
@pytest.mark.parametrize("earlier", [True, False])
def test_a_full_disk_leaves_the_earlier_files(run_folder, tmp_path, monkeypatch, stage, earlier):
    folder = tmp_path / "model"
    before = {}
    if earlier:
        export_run(run_folder, folder, "last")
        before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    path_type = type(folder)
    rename = path_type.rename
    if stage == "copyfile":
        monkeypatch.setattr(shutil, "copyfile", full)
    elif stage == "write_bytes":
        monkeypatch.setattr(path_type, "write_bytes", full)
    else:
        monkeypatch.setattr(
            path_type, "rename", lambda path, to: full() if path.suffix == ".part" else rename(path, to)
        )
    with pytest.raises(LungSRADError, match=r"No space left on device.*free space"):
        export_run(run_folder, folder, "valid")
    found = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}
    assert found == before
    assert [path.name for path in tmp_path.iterdir()] == (["model"] if earlier else [])


def test_an_interrupted_export_leaves_no_folder(run_folder, tmp_path, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "verify_export", killed)
    with pytest.raises(KeyboardInterrupt):
        export_run(run_folder, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_destination_that_cannot_be_written_is_named(run_folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LungSRADError, match=r"cannot be written .*Choose a folder"):
        export_run(run_folder, tmp_path / "file" / "model")


def test_a_read_only_destination_is_named(run_folder, tmp_path, monkeypatch):
    def refuse(path, *arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "mkdir", refuse)  # a real one does not stop the superuser
    with pytest.raises(LungSRADError, match=r"cannot be written \(Permission denied\)"):
        export_run(run_folder, tmp_path / "model")


def test_an_export_whose_outputs_differ_is_not_written(run_folder, tmp_path, monkeypatch):
    forward = CycleFeatures.forward
    monkeypatch.setattr(CycleFeatures, "forward", lambda features, waveforms: forward(features, 2 * waveforms))
    with pytest.raises(LungSRADError, match="outputs differ from those of the training modules"):
        export_run(run_folder, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def edit_settings(run, old, new):
    text = (run / "hyperparams.yaml").read_text()
    assert old in text
    (run / "hyperparams.yaml").write_text(text.replace(old, new))


RUNS = {
    "absent": (lambda run: shutil.rmtree(run), "hyperparams.yaml: no such file; expected the output folder"),
    "no settings": (lambda run: (run / "hyperparams.yaml").unlink(), "hyperparams.yaml: no such file"),
    "other settings": (
        lambda run: (run / "hyperparams.yaml").write_text("a: 1\n"),
        "the key 'embedding_model' is missing",
    ),
    "a wrong argument": (
        lambda run: edit_settings(run, "stage: 1", "storey: 1"),
        r"hyperparams.yaml: the model cannot be built \(TypeError",
    ),
    "a constant beyond the list": (
        lambda run: edit_settings(run, "[*id003, -1]", "[*id003, 9]"),
        r"hyperparams.yaml: the model cannot be built \(IndexError",
    ),
    "a number for a module": (
        lambda run: edit_settings(
            run,
            "mean_var_norm: &id002 !new:lung_srad_plugin.FeatureNormalization\n  kind: audioset",
            "mean_var_norm: 3",
        ),
        "the key 'mean_var_norm' is int; expected a torch module",
    ),
    "no checkpoints": (lambda run: shutil.rmtree(run / "save"), "save: no such folder; expected the checkpoints"),
    "no encoder": (
        lambda run: (run / "save" / "CKPT+epoch1" / "embedding_model.ckpt").unlink(),
        "embedding_model.ckpt: the checkpoint has no such file",
    ),
    "foreign weights": (
        lambda run: torch.save({"a": torch.zeros(1)}, run / "save" / "CKPT+epoch1" / "classifier.ckpt"),
        "does not fit the model",
    ),
    "broken results": (lambda run: (run / "results.json").write_text("{"), "results.json: not valid JSON"),
}


@pytest.mark.parametrize("kind", RUNS)
def test_an_incomplete_run_is_refused(tmp_path, kind):
    change, message = RUNS[kind]
    run = write_run(tmp_path / "run")
    change(run)
    with pytest.raises(LungSRADError, match=message):
        export_run(run, tmp_path / "model")
    assert not (tmp_path / "model").exists()


# ---- the card ----


def test_the_card_has_the_hubs_header_and_the_runs_numbers(model_folder):
    _, header, body = (model_folder / "README.md").read_text().split("---\n", 2)
    header = YAML(typ="safe").load(header)
    assert (header["license"], header["library_name"]) == ("apache-2.0", "speechbrain")
    assert header["pipeline_tag"] == "audio-classification"
    (entry,) = header["model-index"][0]["results"]
    values = {metric["name"]: metric["value"] for metric in entry["metrics"]}
    assert values["ICBHI Score, 4class, percent"] == pytest.approx(51.38, abs=0.006)
    assert values["Sensitivity (Se), 2class, percent"] == 51.25
    assert entry["dataset"]["name"] == "test cycles, split: official"
    for text in (
        "Not a medical device",
        "759 test cycles",
        "61.50",
        "patients drawn from train",
        "best on valid",
        "ICBHI",
    ):
        assert text in body
    assert "{" not in body
    assert "EncoderClassifier" in body and "can run any code" in body


def test_the_hubs_own_class_reads_the_card(model_folder):
    card = ModelCard.load(model_folder / "README.md")
    assert card.data.model_name.startswith("tiny-") and len(card.data.eval_results) == 6
    assert {result.dataset_type for result in card.data.eval_results} == {"tiny"}


def test_names_are_no_markup_in_the_card(model_folder, run_folder):
    name = "a|b <img src=x> [link](x) `code` *bold* {{ 7 * 7 }}"
    config = read_config(model_folder).model_copy(update={"data": name, "model": name, "labels": [name, "crackle"]})
    results = json.loads((run_folder / "results.json").read_text())
    results["experiment"] = f"{name}\n---\nlicense: other"
    results["selected"]["valid"]["recall"] = {f"{name}\n# heading": 1.0}
    text = write_card(config, results)
    body = text.split("---\n", 2)[2]
    for markup in ("a|b", "<img", "[link](", "`code`", "*bold*", "49"):
        assert markup not in body
    assert "\n# heading" not in body
    assert ModelCard(text).data.license == "apache-2.0"


def test_the_card_warns_of_a_checkpoint_that_the_test_set_selected(model_folder):
    config = json.loads((model_folder / "config.json").read_text())
    config["protocol"]["selection"]["valid"] = "the validation cycles are the test cycles"
    config = ModelConfig.model_validate(config)
    assert "scores on the test set are optimistic" in write_card(config)


def test_the_card_says_where_the_sounds_were_synthetic(model_folder):
    config = read_config(model_folder)
    assert "SYNTHETIC" not in write_card(config)
    assert "trained on SYNTHETIC sounds" in write_card(config.model_copy(update={"synthetic": True}))


def test_intervals_are_shown_beside_their_scores(model_folder, run_folder):
    config = read_config(model_folder)
    results = json.loads((run_folder / "results.json").read_text())
    results["selected"]["valid"]["intervals"] = {"4class": {"score": [45.0, 57.5]}}
    assert "| ICBHI Score | 51.38 (45.00 to 57.50) |" in write_card(config, results)


def test_without_results_the_card_says_so(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "results.json").unlink()
    folder = export_checkpoint(run, run / "save" / "CKPT+epoch2", tmp_path / "model", select="last")
    text = (folder / "README.md").read_text()
    assert "Not known: the run was not evaluated" in text and "model-index" not in text
