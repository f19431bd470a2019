"""``lung-srad classify`` on data that must not be lost, and on files and names that are out of the ordinary."""

import csv
import io
import json
import os
import shutil

import numpy as np
import pytest
import soundfile

from lung_srad_plugin.inference.classifier import LungSoundClassifier

NAME = "101_1b1_Al_sc_Meditron"


@pytest.fixture
def data(tmp_path):
    """A recording with its annotation, as ICBHI has them."""
    folder = tmp_path / "ICBHI_final_database"
    folder.mkdir()
    write(folder / f"{NAME}.wav")
    (folder / f"{NAME}.txt").write_text("0.5\t2.0\t0\t0\n2.0\t3.5\t1\t0\n")
    return folder


def write(path, seed=0):
    content = io.BytesIO()
    soundfile.write(content, np.random.default_rng(seed).normal(0, 0.1, 20000), 4000, format="WAV")
    path.write_bytes(content.getvalue())


# ---- nothing is overwritten ----


@pytest.mark.parametrize("format", ["table", "json", "csv", "audacity", "raven", "textgrid"])
def test_results_beside_the_recordings_leave_the_annotations_alone(run, data, model_folder, format):
    before = (data / f"{NAME}.txt").read_bytes()
    arguments = ["classify", data, "-m", model_folder, "--annotations", "--format", format, "--output", data]
    for _ in range(2):  # the second time it overwrites its own
        assert run(*arguments, "--plot", data)[0] == 0
    assert (data / f"{NAME}.txt").read_bytes() == before
    assert len(list(data.glob(f"{NAME}.lung-srad.*"))) == 2


@pytest.mark.parametrize(("option", "name"), [("--output", "lung-srad.txt"), ("--plot", "lung-srad.png")])
def test_a_foreign_file_is_refused_before_any_work(run, data, model_folder, monkeypatch, option, name):
    monkeypatch.setattr(LungSoundClassifier, "from_hparams", None)
    foreign = data / f"{NAME}.{name}"
    foreign.write_text("somebody's notes")
    code, out, err = run("classify", data, "-m", model_folder, option, data)
    assert code == 2 and out == "" and foreign.name in err and "Choose another folder" in err
    assert foreign.read_text() == "somebody's notes"


def test_labels_corrected_by_hand_are_not_lost(run, data, model_folder):
    arguments = ["classify", data, "-m", model_folder, "--format", "audacity", "--output", data]
    assert run(*arguments)[0] == 0
    labels = data / f"{NAME}.lung-srad.txt"
    labels.write_text("0.5\t2.0\twheeze, listened to it myself\n")
    assert run(*arguments)[0] == 2
    assert "myself" in labels.read_text()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["prepare", "{data}", "{out}"], "train.csv"),
        (["export", "{run}", "{out}"], "README.md"),
        (["synthesize", "{out}"], "notes.txt"),
        (["evaluate", "{run}", "--output", "{out}"], "report.html"),
        (["prepare-kauh", "{run}", "{out}", "--mixed", "both"], "kauh.csv"),
    ],
)
def test_other_commands_overwrite_nothing_either(run, run_folder, tmp_path, command, name):
    if command[0] == "prepare":
        assert run("synthesize", tmp_path / "data", "--patients", "6", "--recordings", "1")[0] == 0
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    folders = {"data": tmp_path / "data", "run": run_folder, "out": out}
    code, _, err = run(*(argument.format(**folders) for argument in command))
    assert code == 2 and str(out) in err.replace("\n", "")
    assert (out / name).read_text() == "mine"


def test_results_beside_the_recordings_are_no_annotations(run, model_folder, tmp_path):
    assert run("synthesize", tmp_path / "data", "--patients", "6", "--recordings", "1")[0] == 0
    sounds = tmp_path / "data" / "ICBHI_final_database"
    for format in ("audacity", "table", "csv", "raven", "textgrid"):
        output = ["--format", format, "--output", sounds, "--annotations"]
        assert run("classify", next(sounds.glob("*.wav")), "-m", model_folder, *output)[0] == 0
        (sounds / ".lung-srad-files").rename(tmp_path / format)  # as if another folder's
        assert run("prepare", tmp_path / "data", tmp_path / f"prepared {format}", "--valid", "test")[0] == 0
        for result in sounds.glob("*.lung-srad.*"):
            result.unlink()


# ---- the file of one recording ----


@pytest.mark.parametrize(
    ("name", "options", "begin"),
    [
        ("a.TextGrid", [], 'File type = "ooTextFile"'),
        ("a.txt", [], "0.000\t"),
        ("a.selections.txt", [], "Selection\t"),
        ("a.txt", ["--format", "raven"], "Selection\t"),
        ("a.txt", ["--format", "table"], "ICBHI"),
        ("new/a.json", [], "{"),
    ],
)
def test_the_result_of_one_recording_is_the_file_that_is_named(run, data, model_folder, tmp_path, name, options, begin):
    output = tmp_path / name
    for _ in range(2):  # the second time it overwrites its own
        code, out, err = run("classify", data, "-m", model_folder, "--output", output, *options)
        assert (code, out) == (0, ""), err
    text = output.read_text()
    assert text.startswith(begin) or (begin == "ICBHI" and f"{NAME}.wav" in text)
    if not options:
        printed = {".TextGrid": "textgrid", ".json": "json"}.get(
            output.suffix, "raven" if "sel" in name else "audacity"
        )
        shown = run("classify", data, "-m", model_folder, "--format", printed)[1]
        assert json.loads(shown) == json.loads(text) if printed == "json" else shown == text


def test_the_file_of_one_recording_is_of_one_and_overwrites_nothing(run, data, model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(LungSoundClassifier, "from_hparams", None)  # refused before any work
    annotation = data / f"{NAME}.txt"
    before = annotation.read_bytes()
    assert run("classify", data, "-m", model_folder, "--output", annotation)[0] == 2
    assert annotation.read_bytes() == before
    code, _, err = run("classify", data, "-m", model_folder, "--output", tmp_path / "a.txt", "--format", "json")
    assert code == 2 and "--format json does not fit" in err
    write(data / "b.wav")
    code, _, err = run("classify", data, "-m", model_folder, "--output", tmp_path / "a.TextGrid")
    assert code == 2 and "these are 2" in err and not list(tmp_path.glob("*.TextGrid"))


# ---- agreement with an annotation ----


def test_the_annotation_that_is_named_is_compared(run, data, model_folder, tmp_path):
    listened = tmp_path / "listened.txt"
    listened.write_text("0.5\t2.0\tfine crackles\n2.0\t3.5\tcough\n3.5\t4.5\tnormal\n")
    recording = data / f"{NAME}.wav"
    result = json.loads(
        run("classify", recording, listened, "--annotations", "-m", model_folder, "--format", "json")[1]
    )
    assert [segment["end"] for segment in result["segments"]] == [2.0, 3.5, 4.5]
    predicted = [segment["label"] for segment in result["segments"]]
    right = [predicted[0] == "crackle", predicted[2] == "normal"]
    for arguments in ([recording, "--annotations", listened], ["--annotations", listened, recording]):
        code, out, err = run("classify", *arguments, "-m", model_folder)
        assert code == 0, err
        line = (
            f"{sum(right)} of 2 annotated cycles have their class: crackle {right[0]:d} of 1, normal {right[1]:d} of 1"
        )
        assert line in out and "no class of the model: 1 'cough'" in out
        rows = [line.split() for line in out.splitlines() if "│" in line]
        assert [row[7] for row in rows[:3]] == ["crackle", "│", "normal"]
    err = run("classify", recording, "--annotations", listened, "-m", model_folder, "--output", tmp_path / "a.json")[2]
    assert f"listened.txt: {line}" in err


def test_the_annotation_beside_a_recording_is_compared_too(run, data, model_folder):
    code, out, _ = run("classify", data, "--annotations", "-m", model_folder)
    assert code == 0 and "of 2 annotated cycles have their class: normal" in out
    (data / f"{NAME}.txt").write_text("0.5\t2.0\tspeech\n")
    out = run("classify", data, "--annotations", "-m", model_folder)[1]
    assert "have their class" not in out and "1 'speech'" in out


def test_whose_an_annotation_is_is_not_guessed(run, data, model_folder, tmp_path):
    write(data / "b.wav")
    annotation = data / f"{NAME}.txt"
    for recordings in ([data], [data / "b.wav", data / f"{NAME}.wav"], [data / "b.wav", tmp_path / "other.txt"], []):
        code, _, err = run("classify", *recordings, annotation, "--annotations", "-m", model_folder)
        assert code == 2 and annotation.name in err and "one recording" in err
    table = ["--output", tmp_path / "all.csv"]
    code, _, err = run("classify", data / "b.wav", annotation, "--annotations", "-m", model_folder, *table)
    assert code == 2 and "beside" in err


# ---- one bad file is listed, the rest is done ----

BAD = {
    "raw": ("b.raw", b"\0" * 1000, "ffmpeg"),
    "long": ("x" * 300, None, "no such audio file"),
    "text": ("b.wav", b"text", "cannot be read as audio"),
    "huge": ("b.wav", "huge", "not finite"),
    "escape": ("\x1b[2J.wav", b"text", "\\x1b[2J.wav: cannot be read"),
    "not UTF-8": (os.fsdecode(b"\xe9.wav"), b"text", "\\xe9.wav: cannot be read"),
}


@pytest.mark.parametrize("kind", BAD)
def test_one_bad_file_is_listed_and_the_next_is_classified(run, data, model_folder, kind):
    name, content, message = BAD[kind]
    if content == "huge":
        soundfile.write(data / name, 1e38 * np.sign(np.random.default_rng(0).normal(size=9000)), 4000, "FLOAT")
    elif content is not None:
        (data / name).write_bytes(content)
    code, out, err = run("classify", data / name, data / f"{NAME}.wav", "-m", model_folder, "--format", "json")
    assert code == 1 and json.loads(out)["file"].endswith(f"{NAME}.wav")
    assert message in err and "1 of 2 recordings failed" in err and "\x1b" not in err
    assert "NaN" not in out


def test_an_unexpected_error_is_listed_too(run, data, model_folder, monkeypatch):
    classify = LungSoundClassifier.classify_file

    def fail(self, path, *arguments, **options):
        if path.name == "a.wav":
            raise ZeroDivisionError("division by zero")
        return classify(self, path, *arguments, **options)

    monkeypatch.setattr(LungSoundClassifier, "classify_file", fail)
    write(data / "a.wav")
    code, out, err = run("classify", data, "-m", model_folder, "--format", "json")
    assert code == 1 and len(out.splitlines()) == 1
    assert "a.wav: ZeroDivisionError: division by zero" in err


def test_a_folder_is_searched_without_raw_files(run, data, model_folder):
    (data / "b.raw").write_bytes(bytes(1000))
    code, out, _ = run("classify", data, "-m", model_folder, "--format", "json")
    assert code == 0 and len(out.splitlines()) == 1


# ---- names ----

NAMES = ["[b].wav", ":smile:.wav", r"$\frac{$.wav", "=1+1.wav", "\x1b[31mred.wav", "line\nbreak.wav", "caf\udce9.wav"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("format", ["table", "json", "csv"])
def test_any_name_is_shown_as_text(run, data, model_folder, tmp_path, monkeypatch, name, format):
    monkeypatch.chdir(data)
    os.rename(f"{NAME}.wav", name)  # noqa: PTH104
    code, out, err = run("classify", name, "-m", model_folder, "--format", format, "--plot", tmp_path / "plots")
    assert code == 0, err
    out.encode("utf-8")
    assert "\x1b" not in out + err
    assert len(list((tmp_path / "plots").glob("*.png"))) == 1
    if format == "json":
        assert json.loads(out)["file"] == name
    elif format == "csv":
        (shown,) = {row["file"] for row in csv.DictReader(io.StringIO(out))}
        assert shown[0] not in "=+-@"
    elif name in NAMES[:4]:
        assert name in out


def test_result_files_of_odd_names(run, data, model_folder, tmp_path):
    for index, name in enumerate(NAMES):
        write(data / name, index)
    code, _, err = run("classify", data, "-m", model_folder, "--format", "csv", "--output", tmp_path / "results")
    assert code == 0, err
    assert len(list((tmp_path / "results").glob("*.lung-srad.csv"))) == len(NAMES) + 1


# ---- thresholds ----


@pytest.fixture
def fitted_model(model_folder, tmp_path):
    """A model with thresholds at temperature 1 and at its fitted one."""
    folder = shutil.copytree(model_folder, tmp_path / "fitted")
    config = json.loads((folder / "config.json").read_text())
    config["calibration"] = {"temperature": 2.0}
    config["operating_points"] = [
        {"wanted_sensitivity": 90.0, "threshold": 0.0, "temperature": 1.0},
        {"wanted_sensitivity": 90.0, "threshold": 1.0, "temperature": 2.0},
    ]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_threshold_of_the_temperature_in_use_is_applied_and_printed(run, data, fitted_model):
    arguments = ["classify", data, "-m", fitted_model, "--sensitivity", "90"]
    _, out, _ = run(*arguments, "--format", "csv")
    assert {row["called_abnormal"] for row in csv.DictReader(io.StringIO(out))} == {"True"}
    _, out, _ = run(*arguments, "--calibrated", "--format", "json")
    result = json.loads(out)
    assert result["operating_point"] == {"wanted_sensitivity": 90.0, "threshold": 1.0, "temperature": 2.0}
    assert not any(segment["called_abnormal"] for segment in result["segments"])
    code, out, _ = run(*arguments, "--calibrated")
    text = " ".join(out.split())
    assert code == 0 and "at least 1," in text and "90 %" in text and "at temperature 2" in text


def test_without_a_sensitivity_results_have_no_threshold(run, data, fitted_model):
    _, out, _ = run("classify", data, "-m", fitted_model, "--format", "json")
    assert "operating_point" not in json.loads(out)
    _, out, _ = run("classify", data, "-m", fitted_model, "--format", "csv")
    assert "called_abnormal" not in out


@pytest.mark.parametrize(("sensitivity", "message"), [("85", "90"), ("nan", "90"), ("-1", "90")])
def test_a_sensitivity_that_was_not_fitted_is_refused_once(run, data, fitted_model, sensitivity, message):
    code, out, err = run("classify", data, "-m", fitted_model, "--sensitivity", sensitivity)
    assert code == 2 and out == "" and message in err and err.count("error:") == 1


# ---- one dialect ----


@pytest.mark.parametrize("option", ["--batch-size", "--batch_size"])
def test_underscores_are_read_as_hyphens(run, data, model_folder, option):
    assert run("classify", data, "-m", model_folder, option, "3", "--format", "json")[0] == 0


@pytest.mark.parametrize(
    "arguments", [["--batch-size", "0"], ["--hop", "0"], ["--hop", "nan"], ["--batch-size", "1.5"]]
)
def test_numbers_out_of_range_are_refused_once(run, data, model_folder, arguments):
    write(data / "a.wav")
    code, out, err = run("classify", data, "-m", model_folder, *arguments)
    assert code == 2 and out == "" and "recordings failed" not in err


# ---- windows and events ----


def test_windows_may_be_shorter_than_the_input(run, data, model_folder):
    recording = data / f"{NAME}.wav"
    code, output, _ = run(
        "classify", recording, "-m", model_folder, "--format", "csv", "--window", 2, "--merging", "max"
    )
    rows = list(csv.DictReader(io.StringIO(output)))
    # 5 s in windows of 2 s every 1 s: the default hop of 4 s would leave gaps.
    assert code == 0 and [float(row["end"]) for row in rows] == [1, 2, 3, 4, 5]
    code, _, errors = run("classify", recording, "-m", model_folder, "--window", 9)
    assert code == 2 and "window=9" in errors


def test_a_table_of_close_windows_has_a_row_for_each_run_of_a_class_and_its_remarks(run, data, model_folder):
    command = ["classify", data / f"{NAME}.wav", "-m", model_folder, "--window", 1, "--hop", 0.5]
    rows = list(csv.DictReader(io.StringIO(run(*command, "--format", "csv")[1])))
    runs = [rows[0]]
    for row in rows[1:]:
        if any(row[key] != runs[-1][key] for key in ("label", "uncertain", "unlike_training")):
            runs.append(row)
    table = [line.split() for line in run(*command)[1].splitlines() if "│" in line]
    shown = [(cells[1], cells[5]) for cells in table[:-1]]
    assert len(rows) == 10 and shown == [(f"{float(row['start']):.2f}", row["label"]) for row in runs]


def test_a_table_lists_the_events_where_the_model_has_thresholds(run, data, model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["timeline"] = {"window": 4.0, "hop": 1.0, "thresholds": {"crackle": 0.0, "wheeze": 1.0}}
    (folder / "config.json").write_text(json.dumps(config))
    _, output, _ = run("classify", data / f"{NAME}.wav", "-m", folder)
    assert "crackle, P at least 0: 0.00 to 5.00 s" in output and "wheeze, P at least 1: nowhere" in output
    assert "P at least" not in run("classify", data / f"{NAME}.wav", "-m", folder, "--hop", 2)[1]
