"""``lung-srad spectrum``: its files, and what it refuses."""

import csv
import sys

import numpy as np
import pytest
from toy import write_toy_data

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.analysis.spectrum_command import SpectrumOptions, spectrum
from lung_srad_plugin.cli import main as cli


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("data"))


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_figures_and_tables(model_folder, data, tmp_path):
    options = SpectrumOptions(data, cycles=3, classes=["wheeze"], whole_blocks=True, blocks=["1"])
    (spectra,) = spectrum(model_folder, data / "test.csv", tmp_path, options)
    for name in ("stages", "blocks", "depth", "whole_blocks"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert "<svg" in (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
    assert [row["label"] for row in read(tmp_path / "cycles.csv")] == ["wheeze"] * 3
    (block,) = spectra.blocks
    # 128 frames of 128 mels: a map of 32 x 32 in stage 0, 16 x 16 here; 8 seconds.
    curves = read(tmp_path / "curves.csv")
    assert len(curves) == 2 * (129 + 9 + 9)
    last = curves[-1]
    assert (last["block"], last["axis"], last["smoothing"], last["unit"]) == ("1.0", "time", "after", "Hz")
    assert (float(last["cycles_per_position"]), float(last["physical"])) == (0.5, 1.0)
    assert float(last["mean"]) == pytest.approx(block.after.response["time"][:, -1].mean(), rel=1e-5)
    assert float(last["sd"]) == pytest.approx(block.after.response["time"][:, -1].std(ddof=1), rel=1e-5)
    positions = [float(row["scaled_mean"]) for row in curves if row["axis"] == "positions"]
    assert 0 <= min(positions) <= max(positions) <= 1
    (line,) = read(tmp_path / "blocks.csv")
    assert (line["height"], line["width"], line["smoothed_by_the_model"]) == ("16", "16", "True")
    assert float(line["retention_time_before_mean"]) == pytest.approx(block.before.retention[:, 2].mean(), rel=1e-5)
    assert float(line["energy_above_time_mean"]) == pytest.approx(block.energy[:, 1].mean(), rel=1e-5)
    whole = read(tmp_path / "whole_blocks.csv")
    assert len(whole) == 9 + 9
    assert float(whole[0]["gain_mean"]) == pytest.approx(block.whole.gain["frequency"][:, 0].mean(), rel=1e-5)


def test_the_same_call_writes_the_same_bytes_and_one_cycle_has_no_spread(model_folder, data, tmp_path):
    options = SpectrumOptions(data, cycles=1, blocks=["1"])
    for folder in ("a", "b"):
        spectrum(model_folder, data / "test.csv", tmp_path / folder, options)
    names = sorted(path.name for path in (tmp_path / "a").iterdir() if not path.name.startswith("."))
    assert len(names) == 12
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert {row["sd"] for row in read(tmp_path / "a" / "curves.csv")} == {""}


def test_two_models_on_one_sheet(model_folder, data, tmp_path):
    options = SpectrumOptions(data, cycles=2, blocks=["1"], second=model_folder)
    first, second = spectrum(model_folder, data / "test.csv", tmp_path, options)
    assert second.name == f"{first.name} (second)"
    assert {row["model"] for row in read(tmp_path / "blocks.csv")} == {first.name, second.name}
    np.testing.assert_array_equal(first.blocks[0].before.retention, second.blocks[0].before.retention)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": ["1.5"]}, r"blocks 1\.5: .* 0\.0 to 0\.0, 1\.0 to 1\.0"),
        ({"classes": ["rhonchi"]}, "classes rhonchi: the model's are normal, crackle, wheeze, both"),
        ({"max_bytes": 10}, r"blocks 0\.0, 1\.0: .* 20,971,520 bytes, more than 10"),
        ({"data_root": None}, "{data_root}"),
    ],
)
def test_what_does_not_fit_is_refused(model_folder, data, tmp_path, options, message):
    with pytest.raises(LungSRADError, match=message):
        spectrum(model_folder, data / "test.csv", tmp_path, SpectrumOptions(**{"data_root": data, **options}))
    assert not list(tmp_path.iterdir())


def test_a_manifest_with_other_labels_is_refused_by_row(model_folder, data, tmp_path):
    text = (data / "test.csv").read_text(encoding="utf-8").replace("wheeze", "stridor")
    (tmp_path / "other.csv").write_text(text, encoding="utf-8")
    with pytest.raises(LungSRADError, match=r"row 4, column 'label': unknown label 'stridor'"):
        spectrum(model_folder, tmp_path / "other.csv", tmp_path / "out", SpectrumOptions(data))


def test_a_foreign_file_is_refused_before_any_work(data, tmp_path):
    (tmp_path / "depth.pdf").write_text("mine")
    with pytest.raises(LungSRADError, match=r"depth\.pdf: already there"):
        spectrum("no/such/model", data / "test.csv", tmp_path, SpectrumOptions(data))


def test_the_command_prints_candidates_and_its_errors(model_folder, data, tmp_path, monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["lung-srad", "spectrum", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, capsys.readouterr()

    given = (model_folder, data / "test.csv", "--data-root", data, "--output", tmp_path)
    code, output = call(*given, "--cycles", 2, "--classes", "both", "--classes", "crackle", "--blocks", "1")
    assert code == 0
    assert str(tmp_path / "blocks.csv") in output.out
    code, output = call(*given, "--blocks", "4")
    assert code == 2
    assert output.err.startswith("error: blocks 4")
    code, output = call(*given, "--kernel", "4")
    assert code == 2
    assert "kernel_size=4" in output.err
