"""``lung-srad retention``: finding runs, their scores and retention, tables, and what is refused."""

import csv
import json
import shutil
import sys

import numpy as np
import pytest
import torch
from tiny_model import build_modules, write_run
from toy import write_toy_data

from lung_srad_plugin import CLASSES, LungSRADError, write_predictions
from lung_srad_plugin.analysis.checkpoints import checkpoint_figures, find_runs
from lung_srad_plugin.analysis.cycles import AnalysedModel, cycle_features
from lung_srad_plugin.analysis.retention_command import RetentionOptions, retention
from lung_srad_plugin.analysis.spectra import measure_spectra
from lung_srad_plugin.audio.features import CycleFeatures
from lung_srad_plugin.audio.normalization import FeatureNormalization
from lung_srad_plugin.cli import main as cli
from lung_srad_plugin.datasets.manifests import read_manifest
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.runs.run_folder import RunFolder

TARGETS = np.arange(16) % 4


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def ablation(tmp_path_factory):
    """Two rows over two seeds; run k recognises k crackles of 4 and everything else."""
    folder = tmp_path_factory.mktemp("ablation")
    for index, (row, seed) in enumerate((row, seed) for row in ("dass", "smooth") for seed in (1, 2)):
        run = RunFolder(write_run(folder / row / str(seed)))
        for rule, number in (("valid", 1), ("last", 2)):
            encoder, _ = build_modules(seed=10 * index + number)
            torch.save(encoder.state_dict(), run.checkpoints / f"CKPT+epoch{number}" / "embedding_model.ckpt")
            called = TARGETS.copy()
            called[np.flatnonzero(TARGETS == 1)[index:]] = 0
            names = [CLASSES[target] for target in TARGETS]
            table = make_table([f"c{n}" for n in range(16)], names, np.eye(4)[called], CLASSES, {"patient": names})
            for part in ("test", "valid"):
                write_predictions(table, run.predictions(part, rule))
    return folder


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_runs_are_found_in_an_ablation_and_by_themselves(ablation):
    assert list(find_runs([ablation])) == ["dass/1", "dass/2", "smooth/1", "smooth/2"]
    assert list(find_runs([ablation / "dass"])) == ["1", "2"]
    assert list(find_runs([ablation / "dass" / "1", ablation / "smooth" / "2"])) == ["1", "2"]
    with pytest.raises(LungSRADError, match=r"another run is called 1 too"):
        find_runs([ablation / "dass", ablation / "smooth"])


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(LungSRADError, match="no finished run there"):
        find_runs([tmp_path])


def test_figures_are_those_of_each_checkpoint_as_the_model_runs(ablation, data):
    rows = read_manifest(data / "valid.csv", data)[:2]
    figures = checkpoint_figures(find_runs([ablation]), rows, rules=("last",))
    assert [one.run for one in figures] == ["dass/1", "dass/2", "smooth/1", "smooth/2"]
    assert [one.scores["recall_crackle"] for one in figures] == [0, 25, 50, 75]
    encoder, _ = build_modules(seed=22)
    model = AnalysedModel("", CycleFeatures(frames=128), FeatureNormalization("audioset"), encoder, tuple(CLASSES))
    first, second = measure_spectra(encoder, cycle_features(model, rows))
    # Stage 1 is smoothed by the model, stage 0 is not.
    assert figures[2].retention["1.0", "time"] == pytest.approx(second.after.retention[:, 2].mean())
    assert figures[2].retention["0.0", "both"] == pytest.approx(first.before.retention[:, 0].mean())
    mean = (first.before.retention[:, 0].mean() + second.after.retention[:, 0].mean()) / 2
    assert figures[2].retention["mean", "both"] == pytest.approx(mean)


def test_tables_and_figures(ablation, data, tmp_path):
    options = RetentionOptions(data / "valid.csv", data, cycles=2, rules=("valid", "last"), bootstrap=Bootstrap(200))
    figures, correlations = retention([ablation], tmp_path, options)
    lines = read(tmp_path / "checkpoints.csv")
    assert [(line["run"], line["rule"]) for line in lines[:3]] == [
        ("dass/1", "valid"),
        ("dass/1", "last"),
        ("dass/2", "valid"),
    ]
    assert float(lines[4]["retention_time_1.0"]) == pytest.approx(figures[4].retention["1.0", "time"], rel=1e-5)
    table = {(row["block"], row["retention"], row["score"]): row for row in read(tmp_path / "correlations.csv")}
    assert {block for block, _, _ in table} == {"0.0", "1.0", "mean"}
    row = table["1.0", "time", "recall_crackle"]
    x = [one.retention["1.0", "time"] for one in figures]
    y = [one.scores["recall_crackle"] for one in figures]
    assert row["runs"] == "4"
    assert float(row["pearson_value"]) == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-4)
    assert table["mean", "both", "recall_normal"]["spearman_value"] == ""  # 100 % in every run
    assert len(correlations) == len(table)
    for name in ("checkpoints", "correlations"):
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_the_command_prints_how_many_intervals_chance_would_give(ablation, data, tmp_path, monkeypatch, capsys):
    arguments = [ablation, "--manifest", data / "valid.csv", "--data-root", data, "--cycles", 1, "--resamples", 50]
    monkeypatch.setattr(sys, "argv", ["lung-srad", "retention", *map(str, arguments), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert printed.startswith("4 runs;")
    assert "recall of crackle" in printed
    count = len(read(tmp_path / "out" / "correlations.csv"))
    assert f"{count} correlations were computed" in printed


def test_what_is_missing_is_named_before_anything_is_measured(ablation, data, tmp_path, monkeypatch):
    monkeypatch.setattr("lung_srad_plugin.analysis.checkpoints.measure_spectra", pytest.fail)
    options = RetentionOptions(data / "valid.csv", data)
    with pytest.raises(LungSRADError, match=r"2 finished runs \(1, 2\)"):
        retention([ablation / "dass"], tmp_path / "out", options)
    with pytest.raises(LungSRADError, match=r"its validation cycles, valid_csv None, are not there"):
        retention([ablation], tmp_path / "out", RetentionOptions())
    with pytest.raises(LungSRADError, match=r"rules \['best'\]"):
        retention([ablation], tmp_path / "out", RetentionOptions(data / "valid.csv", data, rules=("best",)))
    copy = shutil.copytree(ablation, tmp_path / "copy")
    RunFolder(copy / "smooth" / "2").predictions("test", "valid").unlink()
    with pytest.raises(LungSRADError, match=r"smooth/2/predictions_test_valid\.csv"):
        retention([copy], tmp_path / "out", options)
    results = copy / "dass" / "1" / "results.json"
    results.write_text(json.dumps(json.loads(results.read_text()) | {"labels": ["healthy", "sick"]}))
    with pytest.raises(LungSRADError, match="unknown label 'normal'"):
        retention([copy], tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def test_predictions_on_a_test_set_that_a_run_does_not_have_are_missed_before_anything_is_measured(ablation):
    with pytest.raises(LungSRADError, match=r"predictions_test_inter_valid\.csv: no such file"):
        checkpoint_figures(find_runs([ablation]), rows=[], part="inter")
