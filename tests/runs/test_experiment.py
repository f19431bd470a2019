"""Mappings in experiments: merged with those they change, or put in their place."""

import pytest

from lung_srad_plugin.runs.experiment import experiment_settings, load_experiment, read_experiment

BASE = "lr: 0.1\nsampling_weights: {}\noptions:\n    batch_size: 4\n    workers: !ref <lr>\n"


@pytest.mark.parametrize("there", ["null", "{a: 1, b: 2}", "none.csv"])
@pytest.mark.parametrize("between", [None, "{b: 0.5, c: 1}", "null"])
def test_shares_replace_what_was_there(tmp_path, there, between):
    (tmp_path / "base.yaml").write_text(BASE.replace("{}", there), encoding="utf-8")
    text = "base: base.yaml\n" + (f"sampling_weights: {between}\n" if between else "")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    experiment = read_experiment(tmp_path / "mine.yaml", {"sampling_weights": {"c": 1, "d": 3}})
    assert experiment_settings(*experiment)["sampling_weights"] == {"c": 1, "d": 3}
    assert load_experiment(*experiment)["sampling_weights"] == {"c": 1, "d": 3}


def test_options_are_merged_with_those_of_the_file(tmp_path):
    (tmp_path / "base.yaml").write_text(BASE.replace("{}", "null"), encoding="utf-8")
    experiment = read_experiment(tmp_path / "base.yaml", {"options": {"batch_size": 8}, "sampling_weights": {"a": 1}})
    settings = experiment_settings(*experiment)
    assert settings == {"lr": 0.1, "sampling_weights": {"a": 1}, "options": {"batch_size": 8, "workers": 0.1}}


def test_included_files_are_found_beside_the_experiment(tmp_path):
    (tmp_path / "part.yaml").write_text("c: 2\n", encoding="utf-8")
    (tmp_path / "base.yaml").write_text("a: null\nb: !include:part.yaml\n", encoding="utf-8")
    assert experiment_settings(tmp_path / "base.yaml", {"a": {"x": 1}}) == {"a": {"x": 1}, "b": {"c": 2}}
    assert experiment_settings(tmp_path / "base.yaml", {"a": 1}) == {"a": 1, "b": {"c": 2}}
