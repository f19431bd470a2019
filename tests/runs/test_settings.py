"""The schema of an experiment's settings: which values pass, and which are refused by key."""

import pytest
from toy import HPARAMS

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.runs.experiment import experiment_settings, read_experiment
from lung_srad_plugin.runs.settings import MAX_WORKERS, Settings, check_settings

GIVEN = {"data_folder": "sounds", "pretrained": None}


def settings_with(**changes):
    return experiment_settings(*read_experiment(HPARAMS / "lung_srad.yaml", {**GIVEN, **changes}))


@pytest.mark.parametrize("path", sorted(HPARAMS.glob("*.yaml")), ids=lambda path: path.stem)
def test_our_experiments_pass(path):
    if not path.stem.startswith("ablation"):  # grids
        check_settings(experiment_settings(*read_experiment(path, GIVEN)), path)


def test_every_key_of_the_recipe_is_in_the_schema():
    derived = {"__set_seed", "embedding_dim"}
    found = set(settings_with())
    for name in ("cnn", "ast", "beats"):  # which add the sizes of their encoder
        found |= set(experiment_settings(*read_experiment(HPARAMS / f"{name}.yaml", GIVEN)))
    assert found - derived == set(Settings.model_fields)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("lr", value) for value in ("abc", float("nan"), None, [0.1], 0, -1, float("inf"), True)),
        *(("batch_size", value) for value in (0, -1, 1.5, 1, "16")),
        *(("seed", value) for value in (-1, 2**32, 1.5, "one")),
        *(("number_of_epochs", value) for value in (1.5, 0)),
        *(("alpha_time", value) for value in (-1, float("nan"), None)),
        *(("duration", value) for value in (-1, "abc", 0, float("inf"))),
        *(("valid_fraction", value) for value in (float("nan"), 0, 1)),
        *(("max_grad_norm", value) for value in (float("nan"), 0, -1)),
        *(("num_workers", value) for value in (999999, MAX_WORKERS + 1, -1)),
        *(("labels", value) for value in (["crackle", "normal"], ["a", "a"], ["normal"], "normal")),
        *(("modules", value) for value in (None, {}, {"model": None}, "model")),
        *(("checkpointer", value) for value in (None, "!nothing"[1:])),
        ("strict", "nope"),
        ("frames", 0),
        ("level", "peak"),
        ("gaussian_padding", "mirror"),
        *(("high_hz", value) for value in (0, 20, "high")),
        ("normalization", "speaker"),
        *(("spec_augment_time_share", value) for value in (0, 1.1, 160)),
        ("depths", [1, 0]),
        ("depths", 4),
        ("output_folder", 5),
        ("output_folder", ""),
        ("split", "half"),
        ("scan_backend", "gpu"),
        ("precision", "fp64"),
        ("pretrained_sha256", "abc"),
        ("gaussian_kernel", 0),
        ("keep_previous", 1.0),
        ("valid_loader_kwargs", None),
        *(
            ("test_csv", value)
            for value in ({}, {"a/b": "a.csv"}, {"": "a.csv"}, {"a": ""}, {"a": None}, ["a.csv"], None)
        ),
        *(("sampling_weights", value) for value in ({}, {"a": 0}, {"a": "much"}, {1: 0.5}, [0.5], 0.5)),
    ],
)
def test_wrong_value_is_refused_by_key(key, value):
    with pytest.raises(LungSRADError, match=rf"x\.yaml: 1 setting is wrong:\n  {key}: .*; expected "):
        check_settings({**settings_with(), key: value}, "x.yaml")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_grad_norm", float("inf")),
        ("frames", None),
        ("gaussian_blocks", []),
        ("projector", None),
        ("lr", 1),
        ("sampling_weights", {"a": 1, "b": 0.2}),
    ],
)
def test_allowed_value_passes(key, value):
    check_settings({**settings_with(), key: value}, "x.yaml")


def test_named_test_sets_pass_and_none_of_them_selects():
    tests = {"inter": "a.csv", "set_2-b": "b.csv"}
    settings = {**settings_with(), "test_csv": tests}
    check_settings(settings, "x.yaml")
    with pytest.raises(LungSRADError, match="report_test_selected: True"):
        check_settings({**settings, "report_test_selected": True}, "x.yaml")


def test_shares_pass_whatever_they_add_up_to():
    check_settings({**settings_with(), "sampling_weights": {"a": 1, "b": 0.2}}, "x.yaml")


def test_all_wrong_values_are_named_at_once():
    with pytest.raises(LungSRADError, match="3 settings are wrong") as refused:
        check_settings({**settings_with(), "lr": 0, "seed": -1, "strict": 3}, "x.yaml")
    assert [line.split(":")[0].strip() for line in str(refused.value).splitlines()[1:]] == ["seed", "strict", "lr"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"folds": 3, "fold": 3}, "fold: 3"),
        ({"dims": [8, 16]}, r"dims: \[8, 16\]"),
        ({"high_hz": 8001.0}, "high_hz: 8001"),
        ({"normalization": "beats"}, "normalization: beats; expected level: int16"),
    ],
)
def test_values_that_do_not_fit_together_are_refused(changes, key):
    with pytest.raises(LungSRADError, match=key):
        check_settings({**settings_with(), **changes}, "x.yaml")


def test_missing_key_is_named():
    settings = settings_with()
    del settings["opt_class"]
    with pytest.raises(LungSRADError, match="opt_class: missing"):
        check_settings(settings, "x.yaml")
    check_settings(settings, "x.yaml", complete=False)
