"""The benchmarks run and print their rows; no test depends on how fast anything is."""

import json
import os
import runpy
import sys
from pathlib import Path

import pytest

from lung_srad_plugin.export.model_folder import read_config

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "measuring")


@pytest.fixture
def run(monkeypatch, capsys):
    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        monkeypatch.syspath_prepend(str(FOLDER))
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_shows_how_to_run_it(name, run, capsys):
    with pytest.raises(SystemExit) as end:
        run(name, "--help")
    assert end.value.code == 0
    assert f"python benchmarks/{name}.py" in capsys.readouterr().out
    assert f"`{name}.py`" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_encoder_prints_a_row_for_each_precision_and_pass(run):
    lines = run(
        "encoder", "--size", "small", "--batch", "1", "--seconds", "0.25", "--repeats", "1", "--plain"
    ).splitlines()
    rows = [line.split() for line in lines[3:]]
    assert [row[:3] for row in rows] == [[p, "1", which] for p in ("fp32", "bf16") for which in ("forward", "both")]
    assert all(float(number) > 0 for row in rows for number in row[3:])


def test_archive_prints_a_row_for_each_batch_size(run, model_folder):
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    try:
        rows = run(
            "archive", "--model", str(model_folder), "--count", "2", "--batch", "1", "3", "--repeats", "1"
        ).splitlines()
    finally:
        if affinity is not None:
            os.sched_setaffinity(0, affinity)
    assert [row.split()[0] for row in rows[2:]] == ["1", "3"]
    assert all(float(number) > 0 for row in rows[2:] for number in row.split())


def test_scan_prints_a_row_for_each_stage(run):
    rows = run("scan", "--batch", "1", "--seconds", "0.25", "--repeats", "1", "--reference").splitlines()[3:]
    assert [row.split()[0] for row in rows[:4]] == ["32x8x96", "16x4x192", "8x2x384", "4x1x768"]
    assert rows[-1].startswith("scan / reference: ")


def test_side_by_side_has_a_row_for_each_model(run, run_folder, model_folder, tmp_path):
    metrics = {
        name: {"value": 0.75, "low": 0.5, "high": 0.875} for name in ("auroc_abnormal", "auroc_crackle", "auroc_wheeze")
    } | {name: {"value": 50.0, "low": None, "high": None} for name in ("score_strict_class", "score_any_abnormal")}
    report = {
        "title": read_config(model_folder).model,
        "evaluation": {"cycles": 9, "patients": 3, "measures": metrics},
        "definitions": {name: {"title": name, "unit": "" if "auroc" in name else "%"} for name in metrics},
    }
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    (tmp_path / "scored" / "report").mkdir(parents=True)
    (tmp_path / "scored" / "report" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    lines = run("side_by_side", f"{model_folder}={tmp_path}", str(tmp_path / "scored"), "--repeats", "1")
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines()]
    timed, scored = (dict(zip(header, row, strict=True)) for row in rows)
    for cells in (timed, scored):
        assert (cells["model"], cells["cycles, patients"]) == (report["title"], "9 of 3")
        assert (cells["auroc_wheeze"], cells["score_strict_class"]) == ("0.750 (0.500 to 0.875)", "50.0")
    assert timed["encoder"] == "DASS"
    assert float(timed["ms a clip"]) > 0
    assert float(timed["parameters, million"]) == pytest.approx(0.02, abs=0.02)
    assert {scored[name] for name in ("encoder", "ms a clip", "parameters, million")} == {"-"}
    with pytest.raises(SystemExit, match="but the report is on "):
        run("side_by_side", f"starter={tmp_path}")
    with pytest.raises(SystemExit, match=r"report\.json: no such file"):
        run("side_by_side", str(run_folder))


def test_spectrum_prints_a_row_for_each_part(run):
    lines = run("spectrum", "--size", "small", "--stage", "3", "--cycles", "1", "--seconds", "0.5").splitlines()
    assert lines[1] == "DASS-small, stage 3: 2 blocks, 1 cycles"
    assert [line.split()[-2:] for line in lines[2:]] == [["CPU", "s"]] * 6
    assert all(float(line.split()[-3]) >= 0 for line in lines[2:])
