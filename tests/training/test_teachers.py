"""Teachers that are models: their embeddings are those of the model itself, computed once, and training goes on."""

import importlib.util
import json

import numpy as np
import pytest
import soundfile
import torch
from toy import toy_arguments, write_toy_data

from lung_srad_plugin import LungSoundClassifier, LungSRADError, read_cycle, read_manifest
from lung_srad_plugin.datasets.manifests import write_manifest
from lung_srad_plugin.evaluation import embeddings
from lung_srad_plugin.nn.distillation import TeacherTable
from lung_srad_plugin.training.recipe import main, train
from lung_srad_plugin.training.teachers import ModelTeacher, make_teacher
from lung_srad_plugin.training.unlabelled import UNLABELLED

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs transformers, of the extra [transformers]"
)
PLAIN = {"alpha_time": 0.0, "alpha_frequency": 0.0, "number_of_epochs": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("data"), cycles=(12, 8, 8))


def teacher_of(name, folder=None):
    settings = {"teacher": name, "teacher_missing": "refuse", "embedding_folder": folder, "batch_size": 4}
    return make_teacher({**settings, "save_folder": "save"})


def standardized(values):
    return (values - values.mean(axis=0)) / values.std(axis=0, ddof=1).clip(min=1e-4)


def test_a_model_folder_teaches_its_own_embeddings(data, model_folder):
    rows = read_manifest(data / "train.csv", data_root=data)
    teacher = teacher_of(str(model_folder))
    teacher.standardize(rows)
    classifier = LungSoundClassifier.from_hparams(source=model_folder, run_opts={"device": "cpu"})
    expected = np.concatenate([classifier.encode_file(row["wav"], [(0.0, 2.0)]).vectors for row in rows])
    found = torch.stack([teacher(row) for row in rows]).numpy()
    assert teacher.size == 32
    np.testing.assert_allclose(found, standardized(expected), atol=1e-2)


def test_the_packaged_model_and_runs_are_teachers(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert teacher_of("starter").size == 256
    train(toy_arguments(data, tmp_path / "first", **PLAIN))
    assert teacher_of(str(tmp_path / "first")).size == 16


def test_a_model_teaches_in_a_run_and_is_asked_once(data, model_folder, tmp_path, monkeypatch):
    changes = {**PLAIN, "teacher": model_folder, "embedding_folder": tmp_path / "kept"}
    results = train(toy_arguments(data, tmp_path / "run", **{**changes, "number_of_epochs": 2}))
    history = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["history"]
    for loss in (entry["train"] for entry in history):
        assert loss["loss"] == pytest.approx(loss["cross_entropy"] + loss["distillation"], rel=1e-5)
    config = json.loads((tmp_path / "run" / "export" / "config.json").read_text(encoding="utf-8"))
    assert config["teacher"] == "model" and results["selected"]["last"]["epoch"] == 2
    asked = []
    monkeypatch.setattr(embeddings, "cut_clips", lambda classifier, rows, wanted: asked.extend(wanted) or ())
    train(toy_arguments(data, tmp_path / "again", **changes))
    assert not asked


def test_recordings_of_one_name_are_told_apart():
    rows = [{"wav": f"/{folder}/a.wav", "start": 0.0, "stop": 1.0} for folder in ("x", "y")]
    teacher = ModelTeacher("mine", lambda rows, _: np.eye(2), size=2)
    teacher.standardize(rows)
    assert not torch.equal(teacher(rows[0]), teacher(rows[1]))
    with pytest.raises(LungSRADError, match="mine: has no embedding of 1 of 1 cycles"):
        teacher({**rows[0], "stop": 2.0})


def test_a_table_is_a_teacher_as_before(tmp_path):
    times = {"start": [0.0, 1.0], "stop": [1.0, 2.0]}
    np.savez(tmp_path / "t.npz", embedding=np.eye(2), recording=["a", "a"], **times)
    assert type(teacher_of(str(tmp_path / "t.npz"))) is TeacherTable


@needs_transformers
def test_ast_teaches_what_transformers_computes(tmp_path):
    """Against transformers' own feature extractor and pooled output, for a cycle that is repeated to its input."""
    from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = ASTConfig(**sizes, num_mel_bins=128, max_length=104)
    model = ASTModel(config).eval()
    model.save_pretrained(tmp_path / "ast")
    wavs = [tmp_path / f"{name}.wav" for name in "abc"]
    for number, wav in enumerate(wavs):
        soundfile.write(wav, 0.3 * np.random.default_rng(number).uniform(-1, 1, 32000), 16000)
    rows = [{"wav": str(wav), "start": 0.25, "stop": 0.9} for wav in wavs]
    teacher = teacher_of(str(tmp_path / "ast"))
    teacher.standardize(rows)
    extractor = ASTFeatureExtractor(max_length=104)
    waves = [read_cycle(row["wav"], row["start"], row["stop"], duration=1.055).numpy() for row in rows]
    with torch.no_grad():
        expected = model(extractor(waves, sampling_rate=16000, return_tensors="pt").input_values).pooler_output
    found = torch.stack([teacher(row) for row in rows]).numpy()
    np.testing.assert_allclose(found, standardized(expected.numpy()), atol=5e-3)


@needs_transformers
def test_what_is_no_teacher_is_refused(data, tmp_path, capsys):
    assert main(toy_arguments(data, tmp_path / "a", **PLAIN, teacher=tmp_path / "absent")) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "is no table (.npz), model folder, run or starter" in error and "MIT/ast-finetuned-audioset" in error
    (tmp_path / "empty").mkdir()
    assert main(toy_arguments(data, tmp_path / "b", **PLAIN, teacher=tmp_path / "empty")) == 2
    assert "empty" in capsys.readouterr().err


def test_cycles_without_labels_take_part_in_the_distillation_alone(data, model_folder, tmp_path):
    """Half of the training cycles without labels, blank or wrong: the classes are learned from the rest."""
    rows = read_manifest(data / "train.csv", data_root=data)
    labelled, others = rows[:6], [{**row, "label": ("", "rhonchi")[number % 2]} for number, row in enumerate(rows[6:])]
    write_manifest(tmp_path / "train.csv", labelled)
    write_manifest(tmp_path / "others.csv", others)
    changes = {**PLAIN, "teacher": model_folder, "train_csv": tmp_path / "train.csv", "batch_size": 2}
    changes |= {"unlabelled_csv": tmp_path / "others.csv", "embedding_folder": "null", "prior_correction": True}
    results = train(toy_arguments(data, tmp_path / "run", **changes, report_train=True))
    assert any(note.startswith("distilled also on the 6 cycles of others.csv") for note in results["protocol"]["notes"])
    assert set(results["protocol"]["sha256"]) == {"train", "valid", "test", "unlabelled"}
    assert results["selected"]["last"]["train"]["cycles"] == 6
    history = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["history"]
    assert history[0]["train"]["distillation"] > 0 and np.isfinite(history[0]["train"]["cross_entropy"])


def test_unlabelled_cycles_do_not_change_the_classification_loss():
    targets = torch.tensor([0, UNLABELLED, 2])
    log_probs = torch.randn(3, 4).log_softmax(dim=1)
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    found = torch.nn.functional.nll_loss(log_probs, targets, weight=weight, ignore_index=UNLABELLED)
    known = torch.nn.functional.nll_loss(log_probs[[0, 2]], targets[[0, 2]], weight=weight)
    assert torch.equal(found, known)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": "null"}, "teacher: null; expected one"),
        ({"negatives": "diff_label"}, "negatives: diff_label; expected all"),
        ({}, "are in valid too"),
    ],
)
def test_unlabelled_cycles_that_cannot_be_used_are_refused(data, model_folder, tmp_path, capsys, changes, message):
    settings = {**PLAIN, "teacher": model_folder, "unlabelled_csv": data / "valid.csv", **changes}
    assert main(toy_arguments(data, tmp_path / "run", **settings)) == 2
    assert message in " ".join(capsys.readouterr().err.split())
