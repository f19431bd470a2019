"""The command line: what it prints where, and how it ends."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import soundfile
from rich.console import Console

from lung_srad_plugin.cli import main as cli
from lung_srad_plugin.cli.result_output import print_table
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.result import Classification, make_segment, summarize
from lung_srad_plugin.inference.windows import WindowRule
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.utils import progress
from lung_srad_plugin.utils.files import RECORD


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line; return exit code, standard output, standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["lung-srad", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return ended.value.code or 0, output.out, output.err

    return call


@pytest.fixture
def audio(tmp_path):
    """Two good recordings, one of them with an annotation, in folders, and a text file."""
    folder = tmp_path / "audio"
    (folder / "deep [er]").mkdir(parents=True)
    for seed, name in enumerate(("a.wav", "deep [er]/b.flac")):
        soundfile.write(folder / name, np.random.default_rng(seed).normal(0, 0.1, 40000), 4000)
    (folder / "a.txt").write_text("0.5\t2.0\t0\t0\n2.0\t3.5\t1\t0\n")
    return folder


def test_help_is_quick_to_import_and_lists_the_commands():
    program = (
        "import sys; sys.argv = ['lung-srad', '--help']\n"
        "from lung_srad_plugin.cli import main as cli\n"
        "try: cli.main()\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'torch', 'speechbrain', 'numba', 'matplotlib', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)\n"
        "assert not code and not heavy, heavy\n"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    for command in ("prepare", "synthesize", "train", "classify", "export", "info", "validate"):
        assert command in output


def test_a_table_of_one_recording(run, audio, model_folder):
    code, out, err = run("classify", audio / "a.wav", "--model", model_folder)
    assert code == 0 and "cannot tell sounds unlike its training sounds" in err
    assert "a.wav  (10.0 s, 4000 Hz)" in out and "P(wheeze)" in out and "all" in out


def test_json_is_one_line_for_each_recording_of_a_folder(run, audio, model_folder):
    code, out, _ = run("classify", audio, "-m", model_folder, "--format", "json")
    results = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [result["file"][-6:] for result in results] == ["/a.wav", "b.flac"]
    assert results[0]["segments"][0]["end"] == 2.0  # the last window starts at 2 s


@pytest.mark.parametrize(("normal", "expected"), [(0.4, True), (0.6, False)])
def test_normal_beside_a_high_probability_of_abnormal_is_explained(normal, expected):
    labels = ("normal", "crackle", "wheeze", "both")
    segments = (make_segment(0, 8, labels, (normal, *[(1 - normal) / 3] * 3)),)
    assert segments[0].label == "normal"
    summary = summarize(segments, labels)
    result = Classification("a.wav", 8.0, 4000, 1, "demo", "timeline", segments, summary)
    printed = io.StringIO()
    print_table(result, printed)
    assert ("The class is the most probable one" in printed.getvalue()) is expected


def test_a_progress_bar_on_a_terminal_keeps_results_in_the_pipe(run, audio, model_folder, monkeypatch):
    monkeypatch.setattr(progress, "Console", partial(Console, force_terminal=True))
    code, out, err = run("classify", audio, "-m", model_folder, "--format", "json")
    assert code == 0 and len([json.loads(line) for line in out.splitlines()]) == 2
    assert "recordings" in err and "2/2" in err


def test_csv_has_one_header(run, audio, model_folder):
    code, out, _ = run(
        "classify", audio / "*.wav", audio / "deep [er]", "-m", model_folder, "--format", "csv", "--hop", "8"
    )
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and len(rows) == 6 and out.count("p_wheeze") == 1
    assert float(rows[0]["any_crackle"]) == pytest.approx(
        float(rows[0]["p_crackle"]) + float(rows[0]["p_both"]), abs=1e-5
    )


def test_annotations_beside_the_recordings(run, audio, model_folder):
    code, out, err = run("classify", audio, "-m", model_folder, "--annotations", "--format", "csv")
    assert code == 1  # b.flac has none
    assert [row["start"] for row in csv.DictReader(io.StringIO(out))] == ["0.500000", "2.000000"]
    assert "b.txt: no such annotation" in err and "1 of 2 recordings failed" in err


def test_what_fails_is_listed_and_the_rest_goes_on(run, audio, model_folder):
    bad = audio / "bad.wav"
    bad.write_text("text")
    code, out, err = run("classify", bad, audio / "absent.wav", audio / "a.wav", "-m", model_folder, "--format", "json")
    assert code == 1 and len(out.splitlines()) == 1
    assert "bad.wav: cannot be read as audio" in err and "absent.wav: no such audio file" in err
    assert "2 of 3 recordings failed" in err


def test_results_and_pictures_in_folders(run, audio, model_folder, tmp_path):
    plots, labels = tmp_path / "plots", tmp_path / "labels"
    code, out, _ = run(
        "classify", audio, "-m", model_folder, "--format", "audacity", "--output", labels, "--plot", plots
    )  # fmt: skip
    assert code == 0 and out == ""
    assert sorted(path.name for path in labels.iterdir()) == [RECORD, "a.lung-srad.txt", "b.lung-srad.txt"]
    start, end, text = (labels / "a.lung-srad.txt").read_text().splitlines()[0].split("\t")
    assert (start, text.split()[0]) == ("0.000", text.split()[0]) and float(end) > 0
    for name in ("a.lung-srad.png", "b.lung-srad.png"):
        assert (plots / name).read_bytes().startswith(b"\x89PNG")


def test_results_of_one_name_do_not_overwrite_each_other(run, audio, model_folder, tmp_path):
    soundfile.write(audio / "deep [er]" / "a.wav", np.random.default_rng(5).normal(0, 0.1, 8000), 4000)
    code, _, _ = run("classify", audio, "-m", model_folder, "--format", "json", "--output", tmp_path / "out")
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.json"))
    assert code == 0 and found == [
        f"{name}.lung-srad.json" for name in ("a.wav", "deep [er]/a.wav", "deep [er]/b.flac")
    ]


def test_an_interrupt_keeps_what_was_done(run, audio, model_folder, monkeypatch):
    classify, calls = LungSoundClassifier.classify_file, []

    def interrupted(self, path, *arguments, **options):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return classify(self, path, *arguments, **options)

    monkeypatch.setattr(LungSoundClassifier, "classify_file", interrupted)
    code, out, err = run("classify", audio, "-m", model_folder, "--format", "json")
    assert code == 130 and json.loads(out)["file"].endswith("a.wav")
    assert "interrupted: 1 of 2 recordings were not classified" in err


MISUSES = {
    "no recording": (["classify"], "files"),
    "absent model": (["classify", "{audio}/a.wav", "-m", "./nothing"], "./nothing: no such folder"),
    "nothing matches": (["classify", "{audio}/*.mp3", "-m", "{model}"], "no recording is there"),
    "empty folder": (["classify", "{empty}", "-m", "{model}"], "no recording is there"),
    "labels of many": (["classify", "{audio}", "-m", "{model}", "--format", "audacity"], "add --output FOLDER"),
    "format": (["classify", "{audio}", "-m", "{model}", "--format", "xml"], "xml"),
    "device": (["classify", "{audio}", "-m", "{model}", "--device", "tpu"], "device 'tpu' cannot be used"),
    "precision": (["classify", "{audio}", "-m", "{model}", "--precision", "int4"], "int4"),
    "output a file": (["classify", "{audio}", "-m", "{model}", "--output", "{audio}/a.wav"], "cannot be made"),
    "command": (["clasify"], "clasify"),
    "option": (["info", "--nothing"], "--nothing"),
    "no run": (["export", "{empty}", "{empty}/model"], "expected the output folder of a training run"),
    "no card": (["info", "{empty}"], "config.json: the file is missing"),
    "no manifest": (["validate", "{empty}/train.csv"], "no such manifest"),
    "no data": (["prepare", "{empty}/nothing", "{empty}"], "does not exist"),
    "no experiment": (["train", "{empty}/nothing.yaml"], "no such hyperparameter file"),
}


@pytest.mark.parametrize("kind", MISUSES)
def test_wrong_use_is_one_message_and_code_2(run, audio, model_folder, tmp_path, kind):
    arguments, message = MISUSES[kind]
    (tmp_path / "empty").mkdir()
    folders = {"audio": audio, "model": model_folder, "empty": tmp_path / "empty"}
    code, out, err = run(*(argument.format(**folders) for argument in arguments))
    assert code == 2 and out == ""
    assert message in err.replace("\n", " ")


def test_info_prints_the_card(run, model_folder):
    code, out, _ = run("info", model_folder)
    assert code == 0 and out == (model_folder / "README.md").read_text()


def test_export_says_where(run, run_folder, tmp_path):
    code, out, _ = run("export", run_folder, tmp_path / "model", "--select", "last")
    assert code == 0 and out.strip() == str(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["select"] == "last"


def test_validate_lists_problems_with_code_1(run, tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("ID,duration,wav,start,stop,label\na,1.5,/data/a.wav,0.0,1.5,rhonchi\n")
    code, out, err = run("validate", path, "--no-check-files")
    assert code == 1 and "row 2, column 'label': unknown label 'rhonchi'" in err
    code, out, _ = run("validate", path, "--no-check-files", "--labels", "normal, rhonchi")
    assert code == 0 and "1 cycles (0 normal, 1 rhonchi)" in out


def test_train_hands_on_what_follows_the_file(run, monkeypatch):
    from lung_srad_plugin.training import recipe as training

    seen = []
    monkeypatch.setattr(training, "main", lambda arguments: seen.extend(arguments) or 0)
    code, _, _ = run("train", "a.yaml", "--number_of_epochs", "3", "--device", "cpu", "--test_only")
    assert code == 0 and seen == ["a.yaml", "--number_of_epochs", "3", "--device", "cpu", "--test_only"]


def test_synthesize_and_prepare_go_together(run, tmp_path):
    assert run("synthesize", tmp_path / "data", "--patients", "6", "--recordings", "1")[0] == 0
    code, _, _ = run("prepare", tmp_path / "data", tmp_path / "prepared", "--valid", "test")
    assert code == 0 and (tmp_path / "prepared" / "train.csv").is_file()


def test_version(run):
    code, out, _ = run("--version")
    assert code == 0 and out.startswith("lung-srad 0.")


def test_the_package_runs_without_the_script_on_the_path():
    command = [sys.executable, "-m", "lung_srad_plugin", "info"]
    done = subprocess.run([*command, "starter"], capture_output=True, text=True)
    assert done.returncode == 0 and "starter" in done.stdout
    done = subprocess.run([*command, "absent"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: absent")


def test_rows_of_the_table_are_joined_only_where_their_remarks_agree():
    flags = [(False, False), (False, False), (True, False), (True, True)]
    segments = [
        replace(make_segment(start, start + 1, CLASSES, (0.8, 0.2, 0, 0)), uncertain=uncertain, unlike_training=unlike)
        for start, (unlike, uncertain) in enumerate(flags)
    ]
    result = Classification(
        *("a.wav", 4.0, 4000, 1, "m", "timeline"),
        segments=tuple(segments),
        summary=replace(segments[0], end=4.0),
        windows=WindowRule(1.0, 0.5),
    )
    output = io.StringIO()
    print_table(result, output)
    rows = [line.split("│") for line in output.getvalue().splitlines() if line.startswith("│")]
    assert [(row[1].strip(), row[2].strip(), row[-2].strip()) for row in rows] == [
        ("0.00", "2.00", ""),
        ("2.00", "3.00", "unlike training"),
        ("3.00", "4.00", "unlike training, uncertain"),
        ("all", "", ""),
    ]
