"""``lung-srad check-timeline`` on recordings made here: the model's own timelines, and what becomes of a choice."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from lung_srad_plugin import LungSRADError, export_run
from lung_srad_plugin.cli import main as cli
from lung_srad_plugin.evaluation.timeline.answers import classify_windows
from lung_srad_plugin.evaluation.timeline.axis import Axis
from lung_srad_plugin.evaluation.timeline.choose import list_rules, rate_rule
from lung_srad_plugin.evaluation.timeline.command import TimelineOptions, check_timeline
from lung_srad_plugin.evaluation.timeline.measure import measure_timeline
from lung_srad_plugin.evaluation.timeline.recordings import group_rows
from lung_srad_plugin.export.model_folder import read_card, read_config
from lung_srad_plugin.inference.windows import WindowRule
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.timeline import Runs

EVENTS = {  # by recording: patient, data set, seconds, events
    "a": ("p1", "one", 11, [(0.5, 3, "normal"), (3, 5.5, "crackle"), (6.5, 9, "both")]),
    "b": ("p1", "one", 9.5, [(0, 4, "wheeze"), (4, 9.5, "normal")]),
    "c": ("p2", "one", 6, [(1, 5, "normal")]),
    "d": ("p3", "two", 12, [(0, 4, "crackle"), (4, 8, "normal"), (8, 12, "wheeze")]),
}
FAST = TimelineOptions(bootstrap=Bootstrap(resamples=20), pictures=2)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("timeline")
    rows = []
    for index, (name, (patient, data_set, seconds, events)) in enumerate(EVENTS.items()):
        sound = np.random.default_rng(index).normal(0, 0.1, int(seconds * 4000))
        if name == "d":
            sound[: 4 * 4000] = 0.0  # silence is not classified
        soundfile.write(folder / f"{name}.wav", sound, 4000)
        rows += [
            {
                "ID": f"{name}{number}", "duration": stop - start, "wav": f"{{data_root}}/{name}.wav",
                "start": start, "stop": stop, "label": label, "patient": patient, "dataset": data_set,
            }
            for number, (start, stop, label) in enumerate(events)
        ]  # fmt: skip
    write(folder / "events.csv", rows)
    return folder / "events.csv"


def write(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def recordings(manifest):
    rows = [
        {**row, "wav": row["wav"].format(data_root=manifest.parent), **{k: float(row[k]) for k in ("start", "stop")}}
        for row in read(manifest)
    ]
    return group_rows(rows, CLASSES, manifest)


@pytest.fixture(scope="module")
def axis(recordings, classifier):
    rules = [WindowRule(4.0, 2.0), WindowRule(3.0, 1.0), WindowRule(8.0, 4.0)]
    return Axis(recordings, classify_windows(classifier, recordings, rules, 8), 16000, CLASSES)


@pytest.mark.parametrize("rule", [WindowRule(4.0, 2.0, "median"), WindowRule(3.0, 1.0, "max"), WindowRule(8.0, 4.0)])
def test_the_timelines_are_those_of_classify(axis, recordings, classifier, rule):
    timeline = axis.merge(rule)
    for recording, offset, answer in zip(recordings, axis.offsets, axis.answers, strict=True):
        expected = classifier.classify_file(recording.wav, window=rule.window, hop=rule.hop, merging=rule.merging)
        here = (timeline.starts >= offset) & (timeline.starts < offset + answer.samples / 16000)
        segments = expected.segments
        np.testing.assert_allclose(timeline.starts[here] - offset, [each.start for each in segments], atol=1e-6)
        np.testing.assert_allclose(timeline.ends[here] - offset, [each.end for each in segments], atol=1e-6)
        for finding in ("crackle", "wheeze", "abnormal"):
            values = [getattr(each, finding) for each in segments]
            np.testing.assert_allclose(timeline.scores[finding][here], values, atol=1e-5)


def test_the_annotated_cycles_have_the_answers_of_the_cycles(axis, recordings, classifier):
    timeline = axis.cycles()
    recording, offset = recordings[0], axis.offsets[0]
    expected = classifier.classify_file(recording.wav, cycles=list(zip(recording.starts, recording.ends, strict=True)))
    np.testing.assert_allclose(timeline.starts[:3] - offset, recording.starts, atol=1e-4)
    np.testing.assert_allclose(timeline.scores["wheeze"][:3], [each.wheeze for each in expected.segments], atol=1e-5)


def test_annotated_time_and_events_are_counted(axis):
    thresholds = {"crackle": 0.5, "wheeze": 0.5, "abnormal": 0.5}
    measured = measure_timeline(axis, axis.merge(WindowRule(4.0, 2.0)), thresholds, 0.0, 0.1, Bootstrap(resamples=10))
    found = {(one.data_set, one.finding): one for one in measured}
    one = found["one", "crackle"]
    assert (one.patients, one.recordings, one.events) == (2, 3, 2)
    assert one.seconds == pytest.approx(7.5 + 9.5 + 4) and one.positive_seconds == pytest.approx(5)
    assert found["two", "abnormal"].positive_seconds == pytest.approx(8) and found["two", "abnormal"].events == 2
    assert np.isnan(found["two", "crackle"].metrics["auroc"]["low"])  # of one patient there is no interval


def test_a_timeline_that_is_always_positive_is_not_rewarded(axis):
    """It finds every event; by cycles it is wrong as often as there are others, by runs once a recording."""
    runs = Runs(np.arange(4), np.arange(4), axis.offsets, axis.offsets + np.array([11, 9.5, 6, 12]))
    groups = np.zeros(4, dtype=int)
    events, by_run = (counted("crackle", runs, groups, 1) for counted in (axis.count_events, axis.count_runs))
    assert [int(count[0]) for count in events] == [3, 0, 6]
    # In the first recording crackles are 5 of 7.5 annotated s; elsewhere less than half.
    assert [int(count[0]) for count in by_run] == [2, 1, 3]


def test_silence_has_no_finding(axis):
    timeline = axis.merge(WindowRule(4.0, 2.0))
    silent = np.array([axis.offsets[3] + 1.0])
    assert timeline.at(silent, "crackle") == 0 and timeline.at(silent + 5, "abnormal") > 0


def test_a_perfect_timeline_is_rated_perfect(axis, monkeypatch):
    perfect = axis.cycles()
    for finding, has in axis.findings.items():
        order = np.argsort(axis.starts)
        starts, ends = axis.starts[order], axis.ends[order]
        perfect.scores[finding] = np.where(has[axis.targets[order]], 0.9, 0.1)
    perfect.starts, perfect.ends = starts, ends
    monkeypatch.setattr(axis, "merge", lambda rule: perfect)
    candidate = rate_rule(axis, WindowRule(4.0, 2.0))
    assert (candidate.auroc, candidate.f1, candidate.agreement) == (1, 100, 1)
    assert set(candidate.by_set) == {"one", "two"} and all(0.1 < x <= 0.9 for x in candidate.rule.thresholds.values())


def test_without_a_choice_the_models_own_rule_is_measured(model_folder, manifest, tmp_path):
    options = replace(FAST, data_root=manifest.parent)
    report = check_timeline(model_folder, manifest, tmp_path, options)
    assert [timeline["name"] for timeline in report["timelines"]] == ["8 s every 4 s, mean", "annotated cycles"]
    assert "chosen" not in report and not (tmp_path / "candidates.csv").exists()
    rows = read(tmp_path / "timeline.csv")
    assert len(rows) == 2 * 2 * 3 and {row["threshold"] for row in rows} == {"0.5"}
    stored = json.loads((tmp_path / "timeline.json").read_text())
    assert stored["timelines"][0]["measured"][0]["metrics"]["auroc"]["value"] == pytest.approx(
        float(next(row["auroc"] for row in rows)), abs=1e-5
    )
    assert (tmp_path / "timeline.png").stat().st_size > 10_000


def test_data_sets_may_be_left_out(model_folder, manifest, tmp_path):
    options = replace(FAST, data_root=manifest.parent, data_sets=("two",), pictures=0)
    check_timeline(model_folder, manifest, tmp_path, options)
    assert {row["data_set"] for row in read(tmp_path / "timeline.csv")} == {"two"}


def test_what_is_chosen_becomes_the_recommendation_of_the_export(run_folder, model_folder, manifest, tmp_path, capsys):
    arguments = ["check-timeline", str(model_folder), str(manifest), "--data-root", str(manifest.parent), "--choose"]
    arguments += ["--window", "2", "--window", "4", "--hop", "2", "--merging", "mean", "--merging", "max"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--resamples", "10", "--pictures", "0", "--output", str(tmp_path / "chosen")])
    printed = capsys.readouterr().out
    assert not ended.value.code and "chosen: windows of" in printed
    report = json.loads((tmp_path / "chosen" / "timeline.json").read_text())
    # Windows of 2 s every 2 s do not overlap, so that they are merged in one way only; the default is tried too.
    tried = {(row["window"], row["hop"], row["merging"]) for row in report["candidates"]}
    assert tried == {(2, 2, "mean"), (4, 2, "mean"), (4, 2, "max"), (8, 4, "mean")}
    assert report["candidates"][0]["agreement"] == max(row["agreement"] for row in report["candidates"])
    assert len(read(tmp_path / "chosen" / "candidates.csv")) == 4
    folder = export_run(run_folder, tmp_path / "model", timeline=tmp_path / "chosen" / "timeline.json")
    stored = read_config(folder).timeline
    assert stored.model_dump() == report["chosen"] and stored.data == "events.csv"
    assert f"windows of {stored.window:g} s every {stored.hop:g} s" in read_card(folder)
    with pytest.raises(LungSRADError, match=r"timeline\.json: chosen with the model tiny-"):
        export_run(run_folder, tmp_path / "other", select="last", timeline=tmp_path / "chosen" / "timeline.json")
    options = TimelineOptions(data_root=manifest.parent, pictures=0, bootstrap=Bootstrap(resamples=10))
    again = check_timeline(folder, manifest, tmp_path / "own", options)
    assert {**again["timelines"][0]["rule"], "data": "events.csv"} == report["chosen"]


def test_a_file_without_a_choice_is_refused(run_folder, tmp_path):
    for content, message in (
        ("{}", "not the timeline.json"),
        ('{"model": "x"}', "--choose"),
        ("[", "not the timeline"),
    ):
        (tmp_path / "timeline.json").write_text(content)
        with pytest.raises(LungSRADError, match=message):
            export_run(run_folder, tmp_path / "model", timeline=tmp_path / "timeline.json")


@pytest.mark.parametrize(
    ("change", "options", "named"),
    [
        ({"patient": ""}, {}, "column 'patient'"),
        ({"label": "Crep"}, {}, "unknown label .Crep"),
        ({"patient": "p9"}, {}, "differ in patient"),
        ({}, {"windows": (9.0,)}, "window=9"),
        ({}, {"windows": (2.0,), "hops": (4.0,)}, "no combination"),
        ({}, {"mergings": ("mode",)}, "merging='mode'"),
        ({}, {"frame": 0.0}, "frame=0"),
        ({}, {"data_sets": ("one", "three")}, "dataset three; it has one, two"),
    ],
)
def test_what_cannot_be_measured_is_named(model_folder, manifest, tmp_path, change, options, named):
    rows = read(manifest)
    rows[1] |= change
    write(tmp_path / "changed.csv", rows)
    with pytest.raises(LungSRADError, match=named):
        check_timeline(
            model_folder,
            tmp_path / "changed.csv",
            tmp_path / "out",
            TimelineOptions(data_root=manifest.parent, **options),
        )


def test_rules_that_leave_gaps_or_exceed_the_input_are_not_tried():
    rules = list_rules(2.0, (1.0, 2.0, 3.0), (0.5, 1.5), ("mean", "max"))
    assert {(rule.window, rule.hop) for rule in rules} == {(1.0, 0.5), (2.0, 0.5), (2.0, 1.5)}
