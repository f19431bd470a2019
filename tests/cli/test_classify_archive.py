"""``lung-srad classify --output all.csv``: one table, its summaries and manifest, and what a stop leaves of it."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lung_srad_plugin.archive.manifest import RunManifest
from lung_srad_plugin.archive.settings import ArchiveSettings, read_settings
from lung_srad_plugin.archive.summaries import patient_columns, recording_columns
from lung_srad_plugin.cli import main as cli
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.rows import row_columns
from lung_srad_plugin.labels import CLASSES

PROGRAM = "from lung_srad_plugin.cli.main import main; main()"
# Each recording takes a while, so that the program does not end before it is stopped. Tests that run in the background,
# and what they start, ignore the signal of Ctrl-C, so it is set to what it is in a terminal.
SLOW_PROGRAM = f"""
import signal, time
from lung_srad_plugin.inference import many

assemble_result = many.assemble_result

def slowly(*arguments):
    time.sleep(0.2)
    return assemble_result(*arguments)

many.assemble_result = slowly
signal.signal(signal.SIGINT, signal.default_int_handler)
{PROGRAM}
"""


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([os.fspath(argument) for argument in map(str, arguments)])
    return ended.value.code or 0


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Recordings of four patients in two folders, and one file that is no recording."""
    folder = tmp_path_factory.mktemp("sounds")
    for index in range(8):
        path = folder / f"{'ab'[index % 2]}/{100 + index // 2}_{index}b1_Al_sc_Meditron.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.random.default_rng(index).normal(0, 0.1, 4000 * (9 + index)), 4000)
    (folder / "a" / "broken.wav").write_text("no sound")
    return folder


@pytest.fixture(scope="module")
def whole(sounds, model_folder, tmp_path_factory):
    """The folder of a run that was not disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert call("classify", sounds, "-m", model_folder, "--output", folder / "all.csv",
                "--patient-pattern", "icbhi", "--hop", "2.5") == 1  # fmt: skip
    return folder


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ---- what is written ----


def test_the_table_has_every_segment_of_every_recording_in_order(sounds, whole, model_folder):
    rows = table(whole / "all.csv")
    classifier = LungSoundClassifier.from_hparams(source=model_folder)
    paths = sorted(path for path in sounds.rglob("*.wav") if path.name != "broken.wav")
    expected = [(str(path), segment) for path in paths for segment in classifier.classify_file(path, hop=2.5).segments]
    assert len(rows) == len(expected)
    for row, (path, segment) in zip(rows, expected, strict=True):
        assert (row["file"], float(row["start"]), row["label"]) == (path, segment.start, segment.label)
        assert float(row["abnormal"]) == pytest.approx(segment.abnormal, abs=1e-5)


def test_recordings_and_patients_have_the_mean_of_their_segments_by_length(whole):
    rows, recordings = table(whole / "all.csv"), table(whole / "all.recordings.csv")
    patients = {row["patient"]: row for row in table(whole / "all.patients.csv")}
    assert [row["file"] for row in recordings] == list(dict.fromkeys(row["file"] for row in rows))
    assert list(patients) == ["100", "101", "102", "103"]

    def mean(of):
        lengths = [float(row["end"]) - float(row["start"]) for row in of]
        return np.average([float(row["p_wheeze"]) for row in of], weights=lengths)

    for recording in recordings:
        of = [row for row in rows if row["file"] == recording["file"]]
        assert float(recording["p_wheeze"]) == pytest.approx(mean(of), abs=1e-5)
        assert float(recording["highest_abnormal"]) == max(float(row["abnormal"]) for row in of)
        assert int(recording["segments"]) == len(of)
    for patient, summary in patients.items():
        of = [row for row in rows if Path(row["file"]).name.startswith(patient)]
        assert float(summary["p_wheeze"]) == pytest.approx(mean(of), abs=1e-5)
        assert int(summary["recordings"]) == 2


def test_the_run_manifest_says_with_what_and_what_failed(sounds, whole, model_folder):
    manifest = RunManifest.model_validate_json((whole / "all.run.json").read_text())
    (session,) = manifest.sessions
    assert (manifest.state, manifest.recordings, session.done, session.failed) == ("finished", 9, 8, 1)
    assert manifest.settings.hop == manifest.windows["hop"] == 2.5
    assert manifest.settings.model == str(Path(model_folder).resolve())
    assert manifest.model.id == json.loads((Path(model_folder) / "config.json").read_text())["model"]
    assert [failure.file for failure in manifest.failed] == [str(sounds / "a" / "broken.wav")]
    assert "broken.wav" in manifest.failed[0].reason
    assert session.versions["torch"] and session.end >= session.begin and session.device == "cpu"
    assert 0 < session.seconds.model < session.seconds.total and session.seconds.decoding > 0


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_other_formats_hold_the_same(sounds, whole, model_folder, tmp_path, ending, capsys):
    parquet = pytest.importorskip("pyarrow.parquet")
    output = tmp_path / f"all.{ending}"
    assert call("classify", sounds, "--settings", whole / "all.run.json", "--output", output) == 1

    def read(path):
        if ending == "jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
        return parquet.read_table(path).to_pylist()

    for name in ("all", "all.recordings", "all.patients"):
        ours, expected = read(tmp_path / f"{name}.{ending}"), table(whole / f"{name}.csv")
        assert [list(row) for row in ours] == [list(row) for row in expected]
        assert [f"{row['abnormal']:.6f}" for row in ours] == [row["abnormal"] for row in expected]
        assert all((row["any_crackle"] is None) == (other["any_crackle"] == "") for row, other in
                   zip(ours, expected, strict=True))  # fmt: skip


def test_columns_are_those_of_the_page(whole):
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "archive.md").read_text(encoding="utf-8")
    described: dict[str, str] = {}
    for line in page.splitlines():
        if line.startswith("| `"):
            described.setdefault(line.split("`")[1], line)
    columns = (row_columns(CLASSES), recording_columns(CLASSES), patient_columns(CLASSES))
    for name, expected in zip(("all", "all.recordings", "all.patients"), columns, strict=True):
        assert list(table(whole / f"{name}.csv")[0]) == [column.name for column in expected]
        for column in expected:
            assert column.name.startswith("p_") or f"| {column.kind} |" in described[column.name], column
    for column in columns[0]:
        assert column.name.startswith("p_") or column.text in described[column.name], column


# ---- settings ----


def test_settings_are_given_back_and_options_win(whole, sounds, tmp_path):
    one = sounds / "a" / "100_0b1_Al_sc_Meditron.wav"
    assert (
        call("classify", one, "--settings", whole / "all.run.json", "--hop", "4", "--output", tmp_path / "a.csv") == 0
    )
    used = RunManifest.model_validate_json((tmp_path / "a.run.json").read_text()).settings
    earlier = RunManifest.model_validate_json((whole / "all.run.json").read_text()).settings
    assert used == earlier.model_copy(update={"hop": 4.0})


def test_the_model_of_the_settings_must_be_the_same(whole, sounds, tmp_path, capsys):
    content = json.loads((whole / "all.run.json").read_text())
    content["model"]["checksum"] = "0" * 64
    changed = tmp_path / "run.json"
    changed.write_text(json.dumps(content))
    assert call("classify", sounds, "--settings", changed, "--output", tmp_path / "a.csv") == 2
    assert "checksum 000000000000" in capsys.readouterr().err
    assert not (tmp_path / "a.csv").exists()


def test_settings_of_another_version_are_refused_by_what_they_have(whole, sounds, tmp_path, capsys):
    content = json.loads((whole / "all.run.json").read_text())
    for changed, message in (({"format": 2}, "format"), ({"settings": {"hop": 1.0, "tempo": 2}}, "settings.tempo")):
        (tmp_path / "run.json").write_text(json.dumps(content | changed))
        assert call("classify", sounds, "--settings", tmp_path / "run.json", "--output", tmp_path / "a.csv") == 2
        assert message in capsys.readouterr().err


def test_settings_of_runs_before_are_read(tmp_path):
    # As the first version wrote it.
    (tmp_path / "run.json").write_text("""{"format": 1, "state": "finished", "settings": {"model": null,
        "annotations": false, "window": null, "hop": 1.5, "merging": "mean", "calibrated": false, "sensitivity": 90.0,
        "batch_size": 8, "decoding_threads": 2, "device": "cpu", "precision": "bf16", "patients": null,
        "patient_pattern": "icbhi"}, "model": {"id": "starter-1", "checksum": "0"}, "windows": {}}""")
    expected = {"hop": 1.5, "merging": "mean", "sensitivity": 90.0, "decoding_threads": 2, "device": "cpu",
                "precision": "bf16", "patient_pattern": "icbhi"}  # fmt: skip
    assert read_settings(tmp_path / "run.json").settings == ArchiveSettings(**expected)
    assert ArchiveSettings(**expected).keywords() == {
        "window": None, "hop": 1.5, "merging": "mean", "calibrated": False, "sensitivity": 90.0
    }  # fmt: skip


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--plot", "pictures"], "--plot"),
        (["--format", "json"], "--format json"),
        (["--patient-pattern", "[0-9]+_.*"], "group patient"),
        (["--patient-pattern", "("], "--patient-pattern ("),
        (["--patients", "absent.csv"], "absent.csv"),
        (["--settings", "absent.json"], "absent.json"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_the_model_is_loaded(
    sounds, tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.setattr(LungSoundClassifier, "from_hparams", None)
    assert call("classify", sounds, "--output", tmp_path / "a.csv", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_patients_of_a_table(sounds, whole, tmp_path):
    patients = sounds / "patients.csv"
    lines = [f"{path.relative_to(sounds)},{path.parent.name}" for path in sorted(sounds.rglob("*_*.wav"))[:-1]]
    patients.write_text("\n".join(["file,patient", *lines]))
    both = ["--patients", patients, "--patient-pattern", "icbhi"]
    assert call("classify", sounds, "--settings", whole / "all.run.json", *both, "--output", tmp_path / "all.csv") == 2
    # The settings have a pattern, which the option takes the place of.
    call("classify", sounds, "--settings", whole / "all.run.json", "--patients", patients,
         "--output", tmp_path / "all.csv")  # fmt: skip
    assert [row["recordings"] for row in table(tmp_path / "all.patients.csv")] == ["4", "3"]
    assert [row["patient"] for row in table(tmp_path / "all.recordings.csv")][-1] == ""


# ---- stopping and going on ----


@pytest.fixture
def copied(whole, tmp_path):
    """A finished run that a test may change."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def test_a_finished_run_does_nothing_again_and_takes_what_is_new(sounds, copied, tmp_path, model_folder, monkeypatch):
    before = (copied / "all.csv").read_bytes()
    more = tmp_path / "999_1b1_Al_sc_Meditron.wav"
    shutil.copy(sounds / "a" / "100_0b1_Al_sc_Meditron.wav", more)
    assert call("classify", sounds, more, "--settings", copied / "all.run.json", "--output", copied / "all.csv") == 1
    after = (copied / "all.csv").read_bytes()
    assert after.startswith(before) and after[len(before) :].count(b"999_1b1") == len(table(copied / "all.csv")) - len(
        before.splitlines()[1:]
    )
    sessions = RunManifest.model_validate_json((copied / "all.run.json").read_text()).sessions
    assert [(session.continued, session.done, session.failed) for session in sessions] == [(0, 8, 1), (8, 1, 1)]


def test_other_settings_are_refused_and_named(sounds, copied, capsys):
    before = (copied / "all.csv").read_bytes()
    assert call("classify", sounds, "--settings", copied / "all.run.json", "--hop", "3",
                "--output", copied / "all.csv") == 2  # fmt: skip
    assert "hop was 2.5 and is now 3.0" in capsys.readouterr().err
    assert (copied / "all.csv").read_bytes() == before


def test_a_recording_that_was_changed_since_is_listed(sounds, whole, model_folder, tmp_path, capsys):
    shutil.copytree(sounds / "b", tmp_path / "b")
    arguments = ("classify", tmp_path / "b", "-m", model_folder, "--output", tmp_path / "all.csv")
    assert call(*arguments) == 0
    changed = tmp_path / "b" / "100_1b1_Al_sc_Meditron.wav"
    os.utime(changed, ns=(1, 1))
    assert call(*arguments) == 1
    manifest = RunManifest.model_validate_json((tmp_path / "all.run.json").read_text())
    assert [failure.file for failure in manifest.failed] == [str(changed)]
    assert "1 of 4 recordings were not classified" in capsys.readouterr().err


def test_only_what_is_named_now_is_reported(sounds, whole, model_folder, tmp_path, capsys):
    output = tmp_path / "all.csv"
    assert call("classify", sounds / "a", "-m", model_folder, "--output", output) == 1
    assert "known patient" not in capsys.readouterr().err
    assert call("classify", sounds / "b", "-m", model_folder, "--output", output, "--patient-pattern", "icbhi") == 0
    errors = capsys.readouterr().err
    assert "has 4 more recordings from before" in errors and "broken" not in errors and "known patient" not in errors
    manifest = RunManifest.model_validate_json((tmp_path / "all.run.json").read_text())
    assert [Path(failure.file).name for failure in manifest.failed] == ["broken.wav"]
    assert call("classify", sounds / "b", "-m", model_folder, "--output", output,
                "--patient-pattern", "(?P<patient>0)") == 0  # fmt: skip
    assert "8 recordings are of no known patient" in capsys.readouterr().err


def test_killed_and_interrupted_it_goes_on_to_the_same_table(sounds, whole, model_folder, tmp_path):
    output = tmp_path / "all.csv"
    arguments = ["classify", str(sounds), "-m", str(model_folder), "--output", str(output), "--hop", "2.5",
                 "--patient-pattern", "icbhi", "--batch-size", "1"]  # fmt: skip
    journal, random = tmp_path / "all.journal.jsonl", np.random.default_rng(time.time_ns())
    for stop, lines in ((signal.SIGKILL, 2), (signal.SIGINT, 4)):
        process = subprocess.Popen([sys.executable, "-c", SLOW_PROGRAM, *arguments],
                                   stderr=subprocess.PIPE)  # fmt: skip
        while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > lines):
            time.sleep(0.002)
        time.sleep(random.uniform(0, 0.03))
        process.send_signal(stop)
        errors = process.communicate()[1].decode()
        assert process.returncode in (130, -stop), errors
    done = sum(json.loads(line)["error"] is None for line in journal.read_bytes().splitlines()[1:])
    assert call(*arguments) == 1
    assert (tmp_path / "all.csv").read_bytes().count(b"\n") == (whole / "all.csv").read_bytes().count(b"\n")
    for name in ("all.csv", "all.recordings.csv", "all.patients.csv"):
        for ours, expected in zip(table(tmp_path / name), table(whole / name), strict=True):
            assert [ours.get(key) for key in ("file", "patient", "start", "label")] == [
                expected.get(key) for key in ("file", "patient", "start", "label")
            ]
            assert float(ours["abnormal"]) == pytest.approx(float(expected["abnormal"]), abs=2e-6)
    sessions = RunManifest.model_validate_json((tmp_path / "all.run.json").read_text()).sessions
    assert [session.end is None for session in sessions] == [True, False, False]
    assert sessions[-1].continued >= done and sum(session.done for session in sessions[1:]) < 8
