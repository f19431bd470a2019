"""The HTTP API: its answers equal those of the command line, and what it refuses is said as JSON."""

import csv
import io
import json
from typing import get_args

import pytest
from uploads import recording

from lung_srad_plugin.cli import main as cli
from lung_srad_plugin.cli.result_output import print_result
from lung_srad_plugin.serving.answers import FORMATS
from lung_srad_plugin.serving.api import ClassifyParameters

CLASSIFY = "/api/classify"


def post(client, content=None, name="breath.wav", **parameters):
    files = {"file": (name, recording() if content is None else content)}
    return client.post(CLASSIFY, files=files, params=parameters)


def test_json_equals_the_file_that_the_command_line_writes(client, model_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "breath.wav").write_bytes(recording())
    with pytest.raises(SystemExit):
        cli.main(["classify", "breath.wav", "-m", str(model_folder), "--format", "json", "--output", "results"])
    (written,) = (tmp_path / "results").glob("*.json")
    answer = post(client)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    assert answer.content == written.read_bytes()


def test_settings_are_those_of_classify_file(client, classifier, tmp_path):
    (tmp_path / "breath.wav").write_bytes(recording())
    expected = classifier.classify_file(tmp_path / "breath.wav", name="breath.wav", window=4, hop=2, merging="max")
    assert post(client, window=4, hop=2, merging="max").json() == json.loads(expected.to_json())
    cycles = classifier.classify_file(tmp_path / "breath.wav", [(0.5, 2), (2, 3.5)], name="breath.wav")
    answer = post(client, start=[0.5, 2], end=[2, 3.5]).json()
    assert answer == json.loads(cycles.to_json()) and answer["kind"] == "cycles"


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_is_that_of_the_command_line(client, classifier, format):
    expected = classifier.classify_file(recording(), name="breath.wav")
    printed = io.StringIO()
    print_result(expected, format, printed)
    answer = post(client, format=format)
    assert answer.status_code == 200
    assert answer.json() == json.loads(printed.getvalue()) if format == "json" else answer.text == printed.getvalue()
    if format == "csv":
        assert {row["file"] for row in csv.DictReader(io.StringIO(answer.text))} == {"breath.wav"}


def test_every_format_can_be_asked_for():
    assert set(get_args(ClassifyParameters.model_fields["format"].annotation)) == set(FORMATS)


def test_the_model_is_described(client, classifier):
    described = client.get("/api/model").json()
    assert described["model"] == classifier.model_id and described["labels"] == list(classifier.labels)
    assert described["sample_rate"] == 16000 and described["limits"]["at_work"] == 1
    assert "not a medical device" in described["purpose"]


def test_health_says_how_busy_it_is(client):
    assert client.get("/api/health").json()["status"] == "ok"
    with client.service.place():
        assert client.get("/api/health").json()["waiting"] == 1
    assert client.get("/api/health").json()["waiting"] == 0
