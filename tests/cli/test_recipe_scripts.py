"""The recipes' small scripts are commands of ``lung-srad``, and take the options that they documented before."""

import runpy
import sys
from pathlib import Path

import pytest

from lung_srad_plugin.datasets.synthetic.folder import synthesize_icbhi

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a script; return exit code, standard output, standard error."""

    def call(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(RECIPES / script), run_name="__main__")
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, output.err

    return call


@pytest.mark.parametrize("option", ["--valid_fraction", "--valid-fraction"])
def test_icbhi_is_prepared_with_either_spelling(run, tmp_path, option):
    synthesize_icbhi(tmp_path / "data", patients=8, recordings=1, progress=False)
    arguments = [tmp_path / "data", tmp_path / "out", "--split", "official", option, "0.4", "--strict", "false"]
    code, _, err = run("ICBHI/icbhi_prepare.py", *arguments)
    assert code == 0, err
    assert (tmp_path / "out" / "valid.csv").is_file()


@pytest.mark.parametrize("option", ["--batch_size", "--batch-size"])
@pytest.mark.parametrize("mixed", ["leave_out", "leave-out"])
def test_kauh_takes_either_spelling(run, tmp_path, option, mixed):
    arguments = ["model", tmp_path / "absent", tmp_path / "out", "--mixed", mixed, option, "4"]
    code, out, err = run("KAUH/evaluate.py", *arguments)
    assert code == 2 and out == "" and err.startswith("error: ") and "absent" in err


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("KAUH/evaluate.py", ["model", "data", "out", "--mixed", "crackle"], "both, leave_out"),
        ("KAUH/evaluate.py", ["model", "data", "out"], "--mixed"),
        ("ICBHI/icbhi_prepare.py", ["data", "out", "--split", "random"], "official, corrected, kfold, device"),
        ("ICBHI/evaluate.py", ["run", "--resamples", "0"], "--resamples"),
    ],
)
def test_wrong_use_names_the_option_and_its_choices(run, script, arguments, message):
    code, out, err = run(script, *arguments)
    assert code == 2 and out == "" and message in " ".join(err.replace("│", "").split())
