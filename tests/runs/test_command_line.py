"""The command line of a training run: what is read, and what is refused by name."""

import pytest

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.runs.command_line import read_command_line


def test_settings_and_run_options_are_told_apart():
    line = read_command_line(
        ["a.yaml", "--lr", "0.1", "--data_folder=a=b", "--noprogressbar", "--dims", "[8, 16]", "--device", "cpu"]
    )
    assert line.file == "a.yaml"
    assert line.overrides == {"lr": 0.1, "data_folder": "a=b", "dims": [8, 16]}
    assert line.run_opts.noprogressbar is True
    assert line.run_opts.device == "cpu"


def test_options_that_are_settings_are_both():
    line = read_command_line(["a.yaml", "--max_grad_norm", "inf", "--precision", "bf16"])
    assert line.overrides == {"max_grad_norm": float("inf"), "precision": "bf16"}
    assert line.run_opts.precision == "bf16"


def test_step_limit_is_a_number():
    assert read_command_line(["a.yaml", "--optimizer_step_limit", "5"]).run_opts.optimizer_step_limit == 5


@pytest.mark.parametrize("text", ["sounds #1", "a: b", "x[/y]", "C:\\sounds", "- x"])
def test_folder_that_looks_like_yaml_stays_text(text):
    assert read_command_line(["a.yaml", "--data_folder", text]).overrides == {"data_folder": text}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected one hyperparameter file"),
        (["a.yaml", "b.yaml"], "got a.yaml b.yaml"),
        (["--lr", "0.1"], "expected one hyperparameter file"),
        (["a.yaml", "--output_folder", "r", "lr=0.1"], "lr=0.1: belongs to no option.*write --lr=0.1"),
        (["a.yaml", "--output_folder", "r", "s"], "s: belongs to no option"),
        (["a.yaml", "--lr"], "--lr: expected a value"),
        (["a.yaml", "--lr", "--seed", "1"], "--lr: expected a value"),
        (["a.yaml", "--lr", "1", "--lr", "2"], "--lr is given twice"),
        (["a.yaml", "--test_only", "True"], "--test_only True: this is a flag"),
        (["a.yaml", "--debug=False"], "--debug=False: this is a flag"),
        (["a.yaml", "--max_grad_norm", "-1"], "max_grad_norm -1.0: expected a number above 0"),
        (["a.yaml", "--max_grad_norm", "nan"], "max_grad_norm nan"),
        (["a.yaml", "--device", "nope"], "device 'nope' cannot be used"),
        (["a.yaml", "--optimizer_step_limit", "0"], "optimizer_step_limit 0"),
        (["a.yaml", "--grad_accumulation_factor", "0"], "grad_accumulation_factor 0"),
        (["a.yaml", "--nonfinite_patience", "-1"], "nonfinite_patience -1"),
        (["a.yaml", "--dims", "[8, 16"], "--dims: not valid yaml"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(LungSRADError, match=message):
        read_command_line(arguments)
