"""``config.json`` follows a schema: what is of another kind is named by its key."""

import json
import shutil

import pytest

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.export.model_folder import read_config


@pytest.fixture
def folder(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


def write_config(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    config.update(values)
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v != "absent"}))


HASH = "0" * 64
# Changed keys, and the key to be named.
WRONG = {
    "format text": ({"format": "1"}, "format"),
    "format true": ({"format": True}, "format"),
    "format null": ({"format": None}, "format"),
    "format a list": ({"format": [1]}, "format"),
    "format huge": ({"format": 10**400}, "format 1000"),
    "format absent": ({"format": "absent"}, "format"),
    "versions a list, format new": ({"format": 2, "versions": [1]}, "format 2"),
    "model null": ({"model": None}, "model"),
    "model a number": ({"model": 5}, "model"),
    "model of 5,000 characters": ({"model": "x" * 5000}, "model"),
    "model empty": ({"model": ""}, "model"),
    "model with an escape sequence": ({"model": "a\x1b[2Jb"}, "model"),
    "model with a lone surrogate": ({"model": "a\ud800"}, "model"),
    "labels null": ({"labels": None}, "labels"),
    "labels text": ({"labels": "normal"}, "labels"),
    "labels numbers": ({"labels": [0, 1, 2, 3]}, "labels.0"),
    "one label a list": ({"labels": ["normal", ["crackle"], "wheeze", "both"]}, "labels.1"),
    "one label": ({"labels": ["normal"]}, "labels"),
    "sample_rate text": ({"sample_rate": "16000"}, "sample_rate"),
    "sample_rate zero": ({"sample_rate": 0}, "sample_rate"),
    "duration text": ({"duration": "8"}, "duration"),
    "duration NaN": ({"duration": float("nan")}, "duration"),
    "duration infinite": ({"duration": float("inf")}, "duration"),
    "frames negative": ({"frames": -1}, "frames"),
    "frames a fraction": ({"frames": 1.5}, "frames"),
    "frames absent": ({"frames": "absent"}, "frames"),
    "files a list": ({"files": []}, "files"),
    "files null": ({"files": None}, "files"),
    "files with a path": ({"files": {"../secret": HASH}}, "files.../secret"),
    "a hash a number": ({"files": {"hyperparams.yaml": 5}}, "files.hyperparams.yaml"),
    "no hash of the yaml": ({"files": {"label_encoder.ckpt": HASH}}, "files.hyperparams.yaml"),
    "versions null": ({"versions": None}, "versions"),
    "versions numbers": ({"versions": {"torch": 2}}, "versions.torch"),
    "calibration text": ({"calibration": "x"}, "calibration"),
    "calibration a list": ({"calibration": [1]}, "calibration"),
    "temperature text": ({"calibration": {"temperature": "1"}}, "calibration.temperature"),
    "temperature zero": ({"calibration": {"temperature": 0}}, "calibration.temperature"),
    "a loss text": ({"calibration": {"before": {"log_loss": "x"}}}, "calibration.before.log_loss"),
    "operating points an object": ({"operating_points": {"90": 0.5}}, "operating_points"),
    "a threshold text": (
        {"operating_points": [{"wanted_sensitivity": 90, "threshold": "x"}]}, "operating_points.0.threshold"
    ),
    "protocol text": ({"protocol": "official"}, "protocol"),
    "selection a list": ({"protocol": {"selection": ["valid"]}}, "protocol.selection"),
    "patients a number": ({"protocol": {"patients_shared": {"train_test": 5}}}, "protocol.patients_shared.train_test"),
    "notes numbers": ({"protocol": {"notes": [5]}}, "protocol.notes.0"),
    "an empty note": ({"protocol": {"notes": [""]}}, "protocol.notes.0"),
    "epoch text": ({"epoch": "1"}, "epoch"),
    "select unknown": ({"select": "best"}, "select"),
    "seed a list": ({"seed": [1]}, "seed"),
    "data an object": ({"data": {}}, "data"),
    "experiment with a line break": ({"experiment": "a\nb"}, "experiment"),
    "commit a number": ({"commit": 5}, "commit"),
    "timeline a list": ({"timeline": [2.0, 0.5]}, "timeline"),
    "timeline without a hop": ({"timeline": {"window": 2.0}}, "timeline.hop"),
    "a window longer than the input": ({"timeline": {"window": 9.0, "hop": 1.0}}, "'timeline'"),
    "a window too short": ({"timeline": {"window": 0.1, "hop": 0.1}}, "timeline.window"),
    "a hop that leaves gaps": ({"timeline": {"window": 2.0, "hop": 3.0}}, "timeline.hop"),
    "a merging unknown": ({"timeline": {"window": 2.0, "hop": 1.0, "merging": "mode"}}, "timeline.merging"),
    "a threshold of a finding unknown": (
        {"timeline": {"window": 2.0, "hop": 1.0, "thresholds": {"label": 0.5}}}, "timeline.thresholds.label"
    ),
    "a threshold above 1": (
        {"timeline": {"window": 2.0, "hop": 1.0, "thresholds": {"wheeze": 1.5}}}, "timeline.thresholds.wheeze"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_key_of_another_kind_is_named(folder, kind):
    values, key = WRONG[kind]
    write_config(folder, **values)
    with pytest.raises(LungSRADError) as caught:
        read_config(folder)
    message = str(caught.value)
    assert message.startswith(str(folder / "config.json")) and key in message
    assert len(message) < 800 and message.isprintable()


TEXTS = {
    "no json": (b"{", "not valid JSON"),
    "a list": (b"[]", "expected an object with keys, got a list of 0"),
    "a number": (b"5", "expected an object with keys, got 5"),
    "not UTF-8": (b'{"model": "caf\xe9"}', "not a UTF-8 text file"),
    "nested lists": (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    "nested objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
    "a number of 5,000 digits": (b'{"format": ' + b"1" * 5000 + b"}", "not valid JSON"),
    "endless": (b'"' + b"x" * 2_000_000 + b'"', "2,000,002 bytes; expected at most"),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_what_is_no_json_object_is_refused(folder, kind):
    content, message = TEXTS[kind]
    (folder / "config.json").write_bytes(content)
    with pytest.raises(LungSRADError, match=message) as caught:
        read_config(folder)
    assert str(folder / "config.json") in str(caught.value)


@pytest.mark.parametrize(("format", "cure"), [(99, "pip install --upgrade lung-srad"), (0, "export the model again")])
def test_another_format_is_named_with_the_cure(folder, format, cure):
    write_config(folder, format=format, labels="in another way")
    with pytest.raises(LungSRADError, match=rf"format {format}, written by lung-srad .*reads format 1; {cure}"):
        read_config(folder)


def test_many_problems_are_counted(folder):
    write_config(folder, **dict.fromkeys(("model", "labels", "sample_rate", "duration", "files", "versions"), None))
    with pytest.raises(LungSRADError, match=r"'model'.*'labels'.*'sample_rate'.*'duration'.*and 1 more"):
        read_config(folder)


def test_further_keys_of_the_same_format_are_kept(folder):
    write_config(folder, color="blue", calibration={"temperature": 1.5, "at_bound": False})
    config = read_config(folder).model_dump()
    assert config["color"] == "blue" and config["calibration"]["temperature"] == 1.5
