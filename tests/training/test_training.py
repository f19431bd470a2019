"""The whole recipe on toy data: results, export, resume after a kill, several processes, precision, refusals."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from speechbrain.inference.classifiers import EncoderClassifier
from toy import HPARAMS, RECIPE, toy_arguments, write_toy_data

from lung_srad_plugin import CLASSES, DASSEncoder, LungSRADError, read_manifest, write_manifest
from lung_srad_plugin.runs.experiment import experiment_settings, load_experiment, read_experiment
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.training.recipe import main, train
from lung_srad_plugin.training.resume import check_resumable

REPORTED = {"report_test_selected": True, "report_train": True, "seed": 4}  # with this seed there is a temperature
SINGLE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A finished run and what it returned."""
    folder = tmp_path_factory.mktemp("run")
    return folder, train(toy_arguments(data, folder, **REPORTED))


def checkpoint_weights(folder):
    """All weights of the only checkpoint of the last epoch."""
    (checkpoint,) = [path for path in (folder / "save").iterdir() if _epoch(path) == 3]
    parts = ("embedding_model", "classifier", "projector", "optimizer")
    return {part: torch.load(checkpoint / f"{part}.ckpt", weights_only=True) for part in parts}


def _epoch(checkpoint):
    return yaml.safe_load((checkpoint / "CKPT.yaml").read_text(encoding="utf-8")).get("epoch")


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif isinstance(ours, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs)
    else:
        assert ours == theirs


def test_results_state_how_each_epoch_was_selected(run):
    folder, returned = run
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    history = results.pop("history")
    assert results == json.loads(json.dumps(returned))
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    assert results["selected"]["last"]["epoch"] == 3
    for rule in ("valid", "test"):
        allowed = [entry for entry in history if entry[rule]["sensitivity"] > 5]
        best = max(entry[rule]["score"] for entry in allowed)
        first = next(entry["epoch"] for entry in allowed if entry[rule]["score"] == best)
        assert results["selected"][rule]["epoch"] == first
    selected = history[results["selected"]["test"]["epoch"] - 1]
    assert results["selected"]["test"]["4class"]["score"] == selected["test"]["score"]
    assert (results["protocol"]["select_by"], results["protocol"]["min_sensitivity"]) == ("score", 5.0)
    assert results["training"] == {
        "processes": 1,
        "batch_size": 4,
        "grad_accumulation_factor": 1,
        "effective_batch": 4,
        "optimizer_step_limit": None,
        "skip_nonfinite_grads": False,
        "remove_vector_weight_decay": False,
        "compile": False,
    }
    assert set(results["protocol"]["selection"]) == {"valid", "last", "test"}
    assert results["protocol"]["valid_is_test"] is False
    low, high = results["selected"]["valid"]["intervals"]["4class"]["score"]
    assert low <= results["selected"]["valid"]["4class"]["score"] <= high
    assert results["selected"]["valid"]["cycles"] == 12 == np.sum(results["selected"]["valid"]["confusion"])
    assert results["selected"]["last"]["train"]["cycles"] == 24
    assert results["versions"]["speechbrain"].startswith("1.1")
    assert 100 < results["peak_memory_megabytes"] < 24_000
    for name in ("confusion_valid.png", "confusion_last.png", "confusion_test.png", "training.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    assert "selected" in (folder / "results.txt").read_text(encoding="utf-8")


def test_run_leaves_its_report(run):
    folder, returned = run
    report = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
    assert [row["rule"] for row in report["selections"]] == ["valid", "last", "test"]
    measures = report["evaluation"]["measures"]
    assert measures["score_strict_class"]["value"] == returned["selected"]["valid"]["4class"]["score"]
    fitted, reported = returned["selected"]["valid"]["calibration"], report["calibration"]
    assert (reported and reported["temperature"]) == (fitted and fitted["temperature"])
    assert (folder / "report" / "report.html").read_text(encoding="utf-8").endswith("</html>\n")


def test_cycles_without_patients_have_no_report_and_the_run_states_it(data, tmp_path, capsys):
    """Intervals resample patients, so there are none without them; everything else of the run is there."""
    rows = [line.rpartition(",")[0] for line in (data / "test.csv").read_text(encoding="utf-8").splitlines()]
    (tmp_path / "test.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    changes = {"test_csv": tmp_path / "test.csv", "number_of_epochs": 1}
    assert main(toy_arguments(data, tmp_path / "run", **changes)) == 0
    assert "no report: the predictions have no column 'patient'" in capsys.readouterr().out
    assert (tmp_path / "run" / "export" / "config.json").is_file()
    assert not (tmp_path / "run" / "report").exists()


def test_every_loss_part_is_logged_and_adds_up(run):
    folder, _ = run
    for entry in json.loads((folder / "results.json").read_text(encoding="utf-8"))["history"]:
        train_stats = entry["train"]
        parts = ("cross_entropy", "contrastive_time", "contrastive_frequency")
        assert train_stats["loss"] == pytest.approx(sum(train_stats[part] for part in parts), rel=1e-5)
        assert {"specificity", "sensitivity", "score"} <= set(train_stats) & set(entry["valid"])
    log = (folder / "train_log.txt").read_text(encoding="utf-8")
    assert log.count("train contrastive_frequency") == 3


def test_moved_export_gives_the_stock_class_the_training_probabilities(run, data, tmp_path):
    folder, returned = run
    moved = tmp_path / "elsewhere"
    (folder / "export").rename(moved)
    stock = EncoderClassifier.from_hparams(source=str(moved), savedir=str(tmp_path / "cache"))
    assert len(stock.hparams.label_encoder) == 4

    base, changes = read_experiment(folder / "hyperparams.yaml")
    trained = load_experiment(base, changes)
    epoch = returned["selected"]["valid"]["epoch"]
    trained["checkpointer"].recover_if_possible(ckpt_predicate=lambda found: found.meta["epoch"] == epoch)
    model = trained["model"].eval()
    for number in range(8):
        wav = data / f"test{number:03d}.wav"
        with torch.no_grad():
            feats = trained["feature_cache"](wav, 0.0, 2.0).unsqueeze(0)
            expected = model(trained["mean_var_norm"](feats)).log_probs
        log_probs, _, index, labels = stock.classify_file(str(wav), savedir=str(tmp_path / "cache"))
        torch.testing.assert_close(log_probs.exp(), expected.exp(), atol=1e-5, rtol=0)
        assert labels == [returned["labels"][int(index)]]
    moved.rename(folder / "export")


def test_run_learns_the_toy_data(data, tmp_path):
    plain = {"spec_augment_probability": 0.0, "alpha_time": 0, "alpha_frequency": 0, "report_train": True}
    results = train(toy_arguments(data, tmp_path, number_of_epochs=25, lr=0.006, warmup_epochs=2, **plain))
    assert results["selected"]["last"]["train"]["4class"]["score"] >= 75


def write_teacher(data, path, first=0):
    """Write a teacher that embeds each training cycle as its class, from the ``first`` on, and return the path."""
    rows = read_manifest(data / "train.csv", data_root=data)[first:]
    embedding = np.eye(4)[[CLASSES.index(row["label"]) for row in rows]]
    names = [Path(row["wav"]).stem for row in rows]
    times = {key: [row[key] for row in rows] for key in ("start", "stop")}
    np.savez(path, embedding=embedding, recording=names, **times)
    return path


def test_distillation_joins_the_loss_and_resumes(data, tmp_path):
    teacher = {"teacher": write_teacher(data, tmp_path / "teacher.npz"), "alpha_time": 0.0, "alpha_frequency": 0.0}
    train(toy_arguments(data, tmp_path / "whole", **teacher))
    history = json.loads((tmp_path / "whole" / "results.json").read_text(encoding="utf-8"))["history"]
    losses = [entry["train"] for entry in history]
    for loss in losses:
        assert loss["loss"] == pytest.approx(loss["cross_entropy"] + loss["distillation"], rel=1e-5)
    assert losses[-1]["distillation"] < losses[0]["distillation"]
    (checkpoint,) = (path for path in (tmp_path / "whole" / "save").iterdir() if _epoch(path) == 3)
    assert torch.load(checkpoint / "distillation_head.ckpt", weights_only=True)["linear.weight"].shape == (4, 16)
    assert train(toy_arguments(data, tmp_path / "whole", **teacher))["selected"]["last"]["epoch"] == 3


def test_prior_correction_changes_the_loss_of_training_alone(data, tmp_path):
    rows = read_manifest(data / "train.csv", data_root=data)
    normal = [row for row in rows if row["label"] == "normal"]
    write_manifest(tmp_path / "train.csv", [row for row in rows if row not in normal[2:]])
    off = {"alpha_time": 0.0, "alpha_frequency": 0.0, "train_csv": tmp_path / "train.csv"}
    histories = {}
    for corrected in (False, True):
        folder = tmp_path / str(corrected)
        train(toy_arguments(data, folder, number_of_epochs=1, prior_correction=corrected, lr=1e-12, **off))
        histories[corrected] = json.loads((folder / "results.json").read_text(encoding="utf-8"))["history"][0]
    # With a rate of 0 the weights are those of the start: the same answers, another loss of training.
    assert histories[True]["valid"] == histories[False]["valid"]
    assert histories[True]["train"]["cross_entropy"] != pytest.approx(
        histories[False]["train"]["cross_entropy"], rel=1e-3
    )


def test_a_teacher_without_the_training_cycles_is_refused(data, tmp_path, capsys):
    np.savez(tmp_path / "t.npz", embedding=np.eye(2), recording=["a", "b"], start=[0, 0], stop=[1, 1])
    assert main(toy_arguments(data, tmp_path / "run", teacher=tmp_path / "t.npz")) == 2
    assert "24 of 24 cycles" in capsys.readouterr().err


def test_a_teacher_may_lack_training_cycles_if_asked_to(data, tmp_path, capsys):
    teacher = {"teacher": write_teacher(data, tmp_path / "teacher.npz", first=21), "teacher_missing": "skip"}
    alphas = {"alpha_time": 0.0, "alpha_frequency": 0.0, "number_of_epochs": 1}
    train(toy_arguments(data, tmp_path / "run", **teacher, **alphas))
    assert "21 of 24 training cycles" in capsys.readouterr().out
    (entry,) = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["history"]
    losses = entry["train"]
    # Of 6 batches at most 3 have a cycle with an embedding; 1 minus a cosine is at most 2.
    assert 0 < losses["distillation"] <= 1
    assert losses["loss"] == pytest.approx(losses["cross_entropy"] + losses["distillation"], rel=1e-5)


def test_killed_run_resumes_to_the_same_weights(run, data, tmp_path):
    """Killed in the middle of the second epoch, then given the same command again."""
    whole, _ = run
    arguments = toy_arguments(data, tmp_path, "--ckpt_interval_steps", "2", **REPORTED)
    command = [sys.executable, str(RECIPE), *arguments]
    process = subprocess.Popen(command, env=SINGLE_THREAD, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not any("end-of-epoch: false" in text for text in _checkpoint_metas(tmp_path)):
        assert process.poll() is None, "finished or failed before it could be killed"
        assert time.monotonic() < deadline, "saved no checkpoint within an epoch"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "results.json").exists()

    assert main(arguments) == 0
    assert_same(checkpoint_weights(tmp_path), checkpoint_weights(whole))
    histories = [json.loads((folder / "results.json").read_text())["history"] for folder in (tmp_path, whole)]
    assert histories[0] == histories[1]


def test_a_run_is_not_resumed_with_other_settings(run, data, capsys):
    folder, _ = run
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(toy_arguments(data, folder, **REPORTED, lr=0.001, alpha_time=0.5)) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert f"{folder}: holds a run with other settings" in message
    assert "alpha_time is 1.0 there, 0.5 was asked for; lr is 0.003 there, 0.001 was asked for. To resume" in message
    assert f"give the settings it began with, which {folder / 'hyperparams.yaml'} holds" in message
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_run_is_resumed_with_its_own_settings_wherever_things_are(run, tmp_path):
    folder, _ = run
    saved = folder / "hyperparams.yaml"
    check_resumable(*read_experiment(saved))
    check_resumable(
        *read_experiment(saved, {"feature_folder": "elsewhere", "num_workers": 1, "gradient_checkpointing": True})
    )
    # The same run at another place.
    shutil.copytree(folder, tmp_path / "moved")
    check_resumable(*read_experiment(saved, {"output_folder": str(tmp_path / "moved")}))
    check_resumable(*read_experiment(saved, {"output_folder": str(tmp_path / "empty"), "lr": 0.5}))
    # A constant that no key names.
    other = tmp_path / "other.yaml"
    other.write_text(saved.read_text(encoding="utf-8").replace("freq_masks: 2", "freq_masks: 3"), encoding="utf-8")
    with pytest.raises(LungSRADError, match=r"augment is !new:lung_srad_plugin\.SpecAugment .*freq_masks: 2"):
        check_resumable(*read_experiment(other))


def _checkpoint_metas(folder):
    for path in folder.glob("save/CKPT*/CKPT.yaml"):
        try:
            yield path.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue


def test_checkpoint_cut_off_by_a_kill_is_not_resumed_from(run, data, tmp_path):
    """A kill while a checkpoint is saved leaves files behind, but not the mark that is saved last."""
    whole, returned = run
    shutil.copytree(whole, tmp_path / "run")
    (last,) = [path for path in (tmp_path / "run" / "save").iterdir() if _epoch(path) == 3]
    cut_off = last.with_name("CKPT+cut-off")
    shutil.copytree(last, cut_off)
    meta = yaml.safe_load((cut_off / "CKPT.yaml").read_text(encoding="utf-8"))
    (cut_off / "CKPT.yaml").write_text(yaml.dump({**meta, "unixtime": meta["unixtime"] + 1, "epoch": 4}))
    (cut_off / "whole.ckpt").unlink()
    (cut_off / "optimizer.ckpt").write_bytes(b"half of it")
    assert train(toy_arguments(data, tmp_path / "run", **REPORTED))["selected"] == returned["selected"]


def test_two_processes_train_one_model_and_test_every_cycle_once(data, tmp_path, capsys):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    # 11 test cycles do not divide by two.
    rows = (data / "test.csv").read_text(encoding="utf-8").splitlines()[:-1]
    odd = tmp_path / "odd.csv"
    odd.write_text("\n".join(rows) + "\n", encoding="utf-8")
    backend = ("--distributed_backend", "gloo", "--device", "cpu")
    arguments = toy_arguments(data, tmp_path / "run", *backend, test_csv=odd)
    done = subprocess.run(
        [*command, str(RECIPE), *arguments], env=SINGLE_THREAD, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert results["selected"]["last"]["cycles"] == 11
    assert len(results["history"]) == 3
    # Six batches of four cycles over two processes are three steps an epoch.
    for checkpoint in (tmp_path / "run" / "save").iterdir():
        steps = yaml.safe_load((checkpoint / "brain.ckpt").read_text(encoding="utf-8"))["optimizer_step"]
        assert steps == 3 * _epoch(checkpoint)
    assert (results["training"]["processes"], results["training"]["effective_batch"]) == (2, 8)

    # One process may evaluate the run, but not train on.
    assert main(arguments) == 2
    assert "processes is 2 there, 1 was asked for" in " ".join(capsys.readouterr().err.split())
    again = train([*arguments, "--test_only"])
    assert again["selected"]["last"]["confusion"] == results["selected"]["last"]["confusion"]
    assert again["training"] == results["training"]


def test_bf16_trains_and_evaluates(data, tmp_path):
    """The steps are those of fp32 but for rounding."""
    losses = []
    for precision in ("bf16", "fp32"):
        options = ("--precision", precision, "--eval_precision", precision)
        results = train(toy_arguments(data, tmp_path / precision, *options, lr=0.001))
        assert results["precision"] == {"training": precision, "evaluation": precision}
        losses.append([entry["train"]["loss"] for entry in RunFolder(tmp_path / precision).results().history])
    np.testing.assert_allclose(*losses, rtol=0.05)


def test_run_options_stand_in_the_saved_settings(data, tmp_path):
    train(toy_arguments(data, tmp_path, "--precision", "bf16", "--max_grad_norm", "1.5", number_of_epochs=1))
    settings = experiment_settings(tmp_path / "hyperparams.yaml", {})
    assert (settings["precision"], settings["eval_precision"], settings["max_grad_norm"]) == ("bf16", "fp32", 1.5)
    train(toy_arguments(data, tmp_path / "free", "--max_grad_norm", "inf", number_of_epochs=1))
    assert experiment_settings(tmp_path / "free" / "hyperparams.yaml", {})["max_grad_norm"] == float("inf")


def test_finished_run_is_evaluated_anew_to_the_same_scores(run, data):
    folder, returned = run
    again = train(toy_arguments(data, folder, "--test_only", **REPORTED))
    assert again["selected"] == returned["selected"]


def test_own_labels_and_manifests(tmp_path):
    data = write_toy_data(tmp_path, labels=("healthy", "sick"), cycles=(8, 4, 4))
    changes = {"labels": "[healthy,sick]", "class_weighting": "inverse", "number_of_epochs": 1}
    results = train(toy_arguments(data, tmp_path / "run", **changes))
    assert results["protocol"]["split"] == "own manifests"
    assert set(results["selected"]["last"]["recall"]) == {"healthy", "sick"}
    saved = torch.load(tmp_path / "run" / "export" / "classifier.ckpt", weights_only=True)
    assert saved["linear.weight"].shape == (2, 16)


def test_pretrained_weights_are_loaded_and_named(data, tmp_path):
    encoder = DASSEncoder([1, 2], [8, 16])
    released = {f"module.v.{_released(key)}": value for key, value in encoder.state_dict().items()}
    head = {"module.v.classifier.head.weight": torch.zeros(527, 16), "module.v.classifier.head.bias": torch.zeros(527)}
    torch.save({**released, **head}, tmp_path / "dass.pth")
    changes = {"number_of_epochs": 1, "lr": "1.0e-12", "pretrained": tmp_path / "dass.pth"}
    arguments = toy_arguments(data, tmp_path / "run", **changes)
    with pytest.raises(LungSRADError, match="SHA-256"):
        train([*arguments, "--pretrained_sha256", "f" * 64])
    results = train(arguments)
    trained = torch.load(tmp_path / "run" / "export" / "embedding_model.ckpt", weights_only=True)
    for key, value in encoder.state_dict().items():
        torch.testing.assert_close(trained[key], value, atol=1e-6, rtol=0)
    assert len(results["pretrained"]["sha256"]) == 64


def _released(key):
    return f"classifier.{key}" if key.startswith("norm.") else key


def test_one_step_of_the_paper_from_released_weights(tmp_path):
    """DASS-medium on three views of four cycles of 1024 frames: published settings but for batch and epochs."""
    data = write_toy_data(tmp_path, cycles=(4, 4, 4))
    encoder = DASSEncoder.medium()
    released = {f"module.v.{_released(key)}": value for key, value in encoder.state_dict().items()}
    head = {"module.v.classifier.head.weight": torch.zeros(527, 768), "module.v.classifier.head.bias": torch.zeros(527)}
    torch.save({**released, **head}, tmp_path / "DASS_medium_v2.pth")
    settings = {
        "data_folder": data,
        "output_folder": tmp_path / "run",
        "feature_folder": "null",
        "skip_prep": True,
        **{f"{part}_csv": data / f"{part}.csv" for part in ("train", "valid", "test")},
        "pretrained": tmp_path / "DASS_medium_v2.pth",
        "batch_size": 4,
        "number_of_epochs": 1,
    }
    pairs = [argument for key, value in settings.items() for argument in (f"--{key}", str(value))]
    results = train([str(HPARAMS / "lung_srad.yaml"), *pairs])
    assert results["parameters"] == sum(parameter.numel() for parameter in encoder.parameters())
    (entry,) = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["history"]
    assert np.isfinite([entry["train"][part] for part in ("loss", "contrastive_time", "contrastive_frequency")]).all()
    stepped = torch.load(tmp_path / "run" / "export" / "embedding_model.ckpt", weights_only=True)
    # One step of Adam moves each weight that has a gradient by the learning rate: 5e-5 / 1000, halved by the averaging.
    name = "layers.2.blocks.3.op.in_proj.weight"
    step = (stepped[name] - encoder.state_dict()[name]).abs()
    assert 0 < step.max() < 1e-7


@pytest.mark.parametrize(
    ("flags", "changes", "message"),
    [
        (["--test_only"], {}, "no complete checkpoint"),
        (["--lr", "0.1"], {}, "--lr is given twice"),
        ([], {"batch_sise": 4}, "did you mean batch_size"),
        ([], {"pretrained": "absent.pth"}, "absent.pth does not exist"),
        ([], {"labels": "[normal,crackle]"}, "label"),
        ([], {"train_csv": "absent.csv"}, "absent.csv"),
        ([], {"gaussian_stage": 5}, "stage"),
        ([], {"projector": "null"}, "projector"),
        ([], {"class_weighting": "some"}, "class_weighting"),
    ],
)
def test_mistakes_are_named_in_one_sentence(data, tmp_path, capsys, flags, changes, message):
    assert main(toy_arguments(data, tmp_path, *flags, **changes)) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert "Traceback" not in error


def test_missing_folder_and_weights_are_refused_with_where_to_get_them(tmp_path, capsys):
    assert main([str(HPARAMS / "lung_srad.yaml"), "--pretrained", "null"]) == 2
    assert "lung-sraddatasets" in "".join(capsys.readouterr().err.split())
    assert main([str(HPARAMS / "lung_srad.yaml"), "--data_folder", str(tmp_path)]) == 2
    assert "DASS/releases" in "".join(capsys.readouterr().err.split())


EXPERIMENTS = sorted(path for path in HPARAMS.glob("*.yaml") if not path.stem.startswith("ablation"))  # grids


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_each_experiment_builds(path, tmp_path):
    transformer = {"hidden_size": 8, "layers": 1, "heads": 1, "intermediate_size": 8}
    kind = next((kind for kind in ("cnn", "ast", "beats") if kind in path.stem.split("_")), "dass")
    if kind == "ast":
        pytest.importorskip("transformers")
    small = {
        "dass": {"depths": [1, 1, 4, 1], "dims": [8, 8, 8, 8]},
        "cnn": {"channels": [4, 8]},
        "ast": transformer,
        "beats": {**transformer, "position_groups": 1},
    }[kind]
    small |= {"data_folder": "x", "pretrained": None, "output_folder": str(tmp_path)}
    base, changes = read_experiment(path, small)
    hparams = load_experiment(base, changes)
    assert base.name == "lung_srad.yaml"
    assert hparams["classifier"].linear.out_features == 4
    smoothed = [name for name, _ in hparams["embedding_model"].named_modules() if name.endswith("op.module")]
    assert len(smoothed) == (len(hparams["gaussian_blocks"]) if kind == "dass" else 0)
    if path.stem in ("lung_srad", "lung_srad_v3", "lung_srad_demo", "dass", "dass_gaussian"):
        assert len(smoothed) == {"dass": 0, "lung_srad_demo": 1}.get(path.stem, 2)


def test_published_settings():
    """The table of the method, value by value."""
    narrow = {"data_folder": "x", "pretrained": None, "dims": [8, 8, 8, 8]}
    base, changes = read_experiment(HPARAMS / "lung_srad.yaml", narrow)
    hparams = load_experiment(base, changes)
    published = {
        "sample_rate": 16000,
        "duration": 8.0,
        "frames": 1024,
        "depths": [2, 2, 20, 2],
        "drop_path_rate": 0.3,
        "gaussian_stage": 2,
        "gaussian_blocks": [2, 3],
        "gaussian_kernel": 5,
        "gaussian_sigma": 3.0,
        "gaussian_target": "ss2d",
        "alpha_time": 1.0,
        "alpha_frequency": 1.0,
        "alpha_patch": 0.0,
        "temperature": 0.2,
        "stop_gradient": "clean",
        "batch_size": 16,
        "number_of_epochs": 50,
        "lr": 5e-5,
        "weight_decay": 1e-6,
        "keep_previous": 0.5,
    }
    assert {key: hparams[key] for key in published} == published
    optimizer = hparams["opt_class"]([torch.nn.Parameter(torch.zeros(1))])
    assert type(optimizer) is torch.optim.Adam
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (5e-5, 1e-6)
