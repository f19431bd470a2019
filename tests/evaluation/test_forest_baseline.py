"""The baseline script gives the same numbers for the same seeds."""

import runpy
import sys

from toy import RECIPE

from lung_srad_plugin.datasets.synthetic.folder import synthesize_icbhi


def test_each_seed_and_the_mean_are_printed(tmp_path, monkeypatch, capsys):
    data = tmp_path / "data"
    synthesize_icbhi(data, patients=8, recordings=2, progress=False)
    monkeypatch.setattr(sys, "argv", ["forest_baseline.py", str(data), "--seeds", "1", "1", "2", "--trees", "20"])
    runpy.run_path(str(RECIPE.parent / "forest_baseline.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if line[:1] in ("1", "2")]
    assert [row[0] for row in rows] == ["1", "1", "2"]
    assert rows[0] == rows[1] != rows[2]
    assert all(0 <= float(cell) <= 100 for row in rows for cell in row[1:])
    findings = ("abnormal", "crackle", "wheeze")
    assert [line.split(":")[0] for line in lines[-3:]] == [f"mean auroc_{name}" for name in findings]
