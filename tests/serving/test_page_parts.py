"""What the page is made of: recordings and their annotations, agreement, HTML, files of a visit, the model in words."""

import csv
import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

pytest.importorskip("gradio", reason="needs the extra serve")

from gradio import Error

from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.annotations.files import read_annotations, write_annotations
from lung_srad_plugin.audio.quality import Flaw
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.timeline.axis import Axis
from lung_srad_plugin.evaluation.timeline.measure import measure_timeline
from lung_srad_plugin.evaluation.timeline.recordings import AnnotatedRecording
from lung_srad_plugin.inference.result import Classification, make_segment, summarize
from lung_srad_plugin.inference.windows import WindowRule
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.serving import page_recordings
from lung_srad_plugin.serving.limits import ServingLimits
from lung_srad_plugin.serving.page import page_look
from lung_srad_plugin.serving.page_downloads import write_downloads, write_table
from lung_srad_plugin.serving.page_events import PageEvents, Visit
from lung_srad_plugin.serving.page_html import flag_names, heading_html, overview_html, recording_html
from lung_srad_plugin.serving.page_model import card_sections, describe_model
from lung_srad_plugin.serving.page_picture import Picture, draw_picture, write_sound
from lung_srad_plugin.serving.page_recordings import PageRecording, classify_recordings, sort_files
from lung_srad_plugin.serving.page_truth import Truth, find_agreement, read_truth
from lung_srad_plugin.serving.refusals import Stopped
from lung_srad_plugin.serving.service import ClassificationService

EVENTS = [(0, 2, "normal"), (2, 4, "crackle"), (4, 6, "normal"), (6, 8, "wheeze"), (8, 9, "both")]
EVIL = '<img src="https://evil.example/x" onerror="alert(1)">.wav'


@pytest.fixture
def result():
    """A timeline of ten seconds with random probabilities."""
    rows = np.random.default_rng(3).dirichlet(np.ones(4), size=20)
    segments = tuple(make_segment(i / 2, i / 2 + 0.5, CLASSES, row) for i, row in enumerate(rows))
    rule = WindowRule(3.0, 0.5, thresholds={"abnormal": 0.7, "crackle": 0.45, "wheeze": 0.5}, min_duration=0.5)
    summary = summarize(segments, CLASSES)
    return Classification("a.wav", 10.0, 4000, 1, "m", "timeline", segments, summary, windows=rule)


def as_events(rows):
    return [AnnotatedEvent(*row) for row in rows]


@pytest.fixture
def service(classifier):
    service = ClassificationService(classifier, ServingLimits())
    yield service
    service.close()


def test_agreement_is_that_of_check_timeline(result):
    windows = {(int(4000 * one.start), int(4000 * one.end)): np.array(list(one.probabilities.values()))
               for one in result.segments}  # fmt: skip
    starts, ends, labels = (np.array(column) for column in zip(*EVENTS, strict=True))
    recording = AnnotatedRecording(
        "a.wav", "1", "x", starts, ends, np.array([CLASSES.index(label) for label in labels])
    )
    answers = SimpleNamespace(samples=40000, probabilities=windows)
    axis = Axis([recording], [answers], 4000, CLASSES)
    rule = WindowRule(0.5, 0.5)
    expected = {
        one.finding: one
        for one in measure_timeline(axis, axis.merge(rule), result.windows.thresholds, 0.5, 0.1, Bootstrap(1, 95, 0))
    }
    agreements = find_agreement(result, as_events(EVENTS))
    assert [one.finding for one in agreements] == ["abnormal", "crackle", "wheeze"]
    for one in agreements:
        metrics = {name: interval["value"] for name, interval in expected[one.finding].metrics.items()}
        assert one.events == expected[one.finding].events and one.events + one.others == len(EVENTS)
        assert 100 * one.found / one.events == pytest.approx(metrics["recall"])
        if one.found + one.wrong:
            assert 100 * one.found / (one.found + one.wrong) == pytest.approx(metrics["precision"])
        assert (one.sensitivity, one.specificity) == pytest.approx((metrics["sensitivity"], metrics["specificity"]))


ENDINGS = {"audacity": ".labels.txt", "raven": ".selections.txt", "icbhi": ".txt", "textgrid": ".TextGrid"}


@pytest.mark.parametrize("format, ending", ENDINGS.items())
def test_annotations_of_every_format_are_read(tmp_path, format, ending):
    path = tmp_path / f"a{ending}"
    write_annotations(as_events(EVENTS), path, format, 9.0)
    assert [(e.start_s, e.end_s, e.label) for e in read_truth(path, path.name).events] == EVENTS


def test_annotations_of_sprsound_are_read_and_what_has_no_class_is_told(tmp_path):
    path = tmp_path / "upload7"
    events = [{"start": "0", "end": "500", "type": "Fine Crackle"}, {"start": "500", "end": "900", "type": "Rhonchi"}]
    path.write_text(json.dumps({"record_annotation": "CAS & DAS", "event_annotation": events}))
    assert [event.label for event in read_truth(path, "a.json").events] == ["crackle", "wheeze"]
    path.write_text("0.0\t1.0\tcough\n1.0\t2.0\tnormal\n")
    truth = read_truth(path, "a.txt")
    assert [event.label for event in truth.events] == ["normal"]
    assert "a.txt" in truth.left_out[0] and "cough" in truth.left_out[0] and "upload7" not in truth.left_out[0]


@pytest.mark.parametrize("content", [b"\x00\x01", b"", b"0.0\t1.0\tcough\n"])
def test_a_bad_annotation_names_the_file_and_what_was_expected(tmp_path, content):
    path = tmp_path / "upload7"
    path.write_bytes(content)
    with pytest.raises(LungSRADError, match=r"^a\.txt: .*expected") as caught:
        read_truth(path, "a.txt")
    assert "upload7" not in str(caught.value)


def test_annotations_find_their_recordings(tmp_path):
    for name in ("b.TextGrid", "other.txt"):
        write_annotations(as_events(EVENTS), tmp_path / name, "textgrid" if "Grid" in name else "icbhi", 9.0)
    files = {tmp_path / name: name for name in ("a.wav", "b.wav", "b.TextGrid", "other.txt")}
    a, b, left_over = sort_files(files)
    assert (a.truth, b.truth.name) == (None, "b.TextGrid")
    assert left_over.name == "other.txt" and "other.wav" in left_over.problem
    # A recording and an annotation alone belong together whatever their names.
    (alone,) = sort_files({tmp_path / name: name for name in ("a.wav", "other.txt")})
    assert len(alone.truth.events) == len(EVENTS)
    write_annotations(as_events(EVENTS), tmp_path / "b.txt", "icbhi")
    second = sort_files({tmp_path / name: name for name in ("b.wav", "a.wav", "b.txt", "b.TextGrid")})[-1]
    assert second.name == "b.TextGrid" and "second annotation of b.wav" in second.problem


def test_one_bad_file_leaves_the_others_their_answers(service, tmp_path, classifier):
    noise = np.random.default_rng(0)
    for name in ("a.wav", "c.wav"):
        soundfile.write(tmp_path / name, noise.normal(0, 0.1, 8000), 4000)
    (tmp_path / "b.wav").write_text("no sound")
    paths = {tmp_path / name: name for name in ("a.wav", "b.wav", "c.wav")}
    steps = list(classify_recordings(service, sort_files(paths)))
    assert [[one.result is not None for one in step] for step in steps] == [
        [False] * 3, [True, False, False], [True, False, False], [True, False, True]]  # fmt: skip
    a, b, _ = steps[-1]
    assert a.result == classifier.classify_file(tmp_path / "a.wav", name="a.wav")
    assert b.problem.startswith("b.wav: ") and "expected WAV" in b.problem
    # What was classified is not classified again.
    (again,) = classify_recordings(service, sort_files({tmp_path / "a.wav": "a.wav"}), steps[-1])
    assert again[0].result is a.result


def test_an_unexpected_error_is_told_of_its_file(service, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("a bug")

    (tmp_path / "a.wav").write_bytes(b"")
    monkeypatch.setattr(service, "submit_recording", fail)
    (*_, last) = classify_recordings(service, sort_files({tmp_path / "a.wav": "a.wav"}))
    assert last[0].problem == "a.wav: RuntimeError (unexpected; please report it with the recording)"


def test_names_are_shown_as_they_are(result):
    one = PageRecording(EVIL, Path("x"), result, truth=Truth(EVIL, tuple(as_events(EVENTS)), (EVIL,)))
    bad = PageRecording(EVIL, Path("y"), problem=f"{EVIL}: bad")
    waiting = [PageRecording(EVIL, Path(name)) for name in "zw"]
    picture = Picture("data:image/png;base64,", 0.1, 0.9)
    for html in (overview_html([one, bad, *waiting], 0), heading_html(one, 0.6), recording_html(one, picture)):
        assert "<img src=&quot;" not in html and 'src="https' not in html and "&lt;img" in html
    assert overview_html([], None).strip() == ""
    states = overview_html([replace(waiting[0], share=0.4), waiting[1]], None)
    assert "is being classified: 40% done" in states and states.count("waits") == 1


def test_flags_say_what_a_reader_must_know(result):
    clipped = Flaw("clipping", "0.3 % of the samples are clipped")
    marked = tuple(
        replace(one, unlike_training=index == 3, uncertain=False) for index, one in enumerate(result.segments)
    )
    summary = replace(result.summary, uncertain=True, confidence=0.5, unlike_training=False)
    silences = (
        Flaw("silence", "silence from 1.00 to 2.00 s", 1, 2),
        Flaw("silence", "silence from 4.00 to 5.00 s", 4, 5),
    )
    flagged = replace(result, segments=marked, summary=summary, flaws=(clipped, *silences))
    assert flag_names(flagged) == ["in parts unlike the training sounds", "uncertain", "clipping", "silence"]
    html = heading_html(PageRecording("a.wav", Path("x"), flagged), 0.6)
    assert "0.50, below 0.6" in html and "0.3 % of the samples are clipped." in html and "noise" in html
    assert html.count("<b>Silence.</b>") == 1
    assert "Silence from 1.00 to 2.00 s; silence from 4.00 to 5.00 s." in html
    unlike = replace(flagged, summary=replace(summary, unlike_training=True))
    assert flag_names(unlike) == ["unlike the training sounds", "clipping", "silence"]
    assert flag_names(result) == []


def test_the_sound_is_played_as_one_channel_at_16_khz(tmp_path):
    samples = np.random.default_rng(0).normal(0, 0.1, (22050, 2))
    soundfile.write(tmp_path / "a.flac", samples, 22050)
    write_sound(tmp_path / "a.flac", tmp_path / "played.flac")
    info = soundfile.info(tmp_path / "played.flac")
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (16000, 1, "PCM_16", 16000)
    assert abs(soundfile.read(tmp_path / "played.flac")[0]).max() == pytest.approx(0.9, abs=1e-3)


def test_the_picture_says_where_its_time_begins_and_ends(result, tmp_path):
    import base64
    import io

    import matplotlib.image

    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 40000), 4000)
    for pixels in (1280, 390):
        picture = draw_picture(result, tmp_path / "a.wav", "a.wav", pixels, as_events(EVENTS))
        image = matplotlib.image.imread(io.BytesIO(base64.b64decode(picture.address.split(",")[1])))[..., :3]
        assert (image.shape[1] < image.shape[0]) == (pixels < 700)
        # Grey is where nothing is annotated: the last of ten seconds. Look at the lowest row that has this grey.
        grey = np.isclose(image, 0.88, atol=0.004).all(axis=2)
        row = grey[np.flatnonzero(grey.sum(axis=1) > 0.02 * image.shape[1])[-2]]
        begin, end = np.flatnonzero(row)[[0, -1]] / image.shape[1]
        at_nine = picture.left + 0.9 * (picture.right - picture.left)
        assert (begin, end) == pytest.approx((at_nine, picture.right), abs=0.006)


def test_downloads_hold_the_result(result, tmp_path):
    by_ending = {path.name.removeprefix("a.lung-srad"): path for path in write_downloads(result, tmp_path)}
    assert json.loads(by_ending[".json"].read_text())["file"] == "a.wav"
    assert len(list(csv.DictReader(by_ending[".csv"].read_text().splitlines()))) == len(result.segments)
    runs = [(event.start_s, event.end_s, event.label) for event in result.to_annotations()]
    for ending in (".labels.txt", ".selections.txt", ".TextGrid"):
        read = [(event.start_s, event.end_s, event.label) for event in read_annotations(by_ending[ending])]
        assert read == runs, ending
    write_table([result, result], tmp_path / "all.csv")
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert len(rows) == 2 * len(result.segments) and all(row["file"] == "a.wav" for row in rows)


@pytest.fixture
def visited(service, tmp_path):
    """The page's events, the folder of what it offers, and two recordings."""
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.random.default_rng(0).normal(0, 0.1, 8000), 4000)
    kept = tmp_path / "kept"
    kept.mkdir()
    return PageEvents(service, kept), kept, [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]


REQUEST = SimpleNamespace(session_hash="v")


def files_below(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_visitor_keeps_what_is_needed_and_nothing_after_leaving(visited, tmp_path):
    (page, kept, paths), visit = visited, Visit()
    steps = list(page.take(paths, None, visit, REQUEST))
    # The first is to be shown as soon as it is done.
    assert [paths[0] in wanted for _, wanted in steps] == [False, True, True]
    assert "a.wav" in page.show(visit, 1200, REQUEST)[0]
    page.table(visit, REQUEST)
    first = files_below(kept)
    assert len(first) == 7
    for index in (7, -1, "0", None):
        page.choose(visit, SimpleNamespace(index=index))
        assert visit.find() == 0
    overview, wanted = page.choose(visit, SimpleNamespace(index=1))
    assert 'data-index="1" aria-current' in overview and paths[1] in wanted
    sound = page.show(visit, 1200, REQUEST)[1]
    assert Path(sound).is_file() and len(files_below(kept)) == 7 and len(files_below(kept) & first) == 1
    # The first is taken away; the second stays what is shown.
    assert {wanted for _, wanted in page.take(paths[1:], None, visit, REQUEST)} == {wanted} == {visit.shown}
    assert [one.name for one in visit.recordings] == ["b.wav"] and Path(sound).is_file()
    assert page.table(visit, REQUEST).visible == "hidden" and len(files_below(kept)) == 6
    list(page.take(paths[1:], paths[0], visit, REQUEST))
    assert [one.name for one in visit.recordings] == ["b.wav", "microphone 1.wav"]
    Path(paths[1]).unlink()
    with pytest.raises(Error, match=r"b\.wav: was removed.*drop it again"):
        page.show(visit, 1200, REQUEST)
    page.leave(REQUEST)
    assert not files_below(kept) and not Path(paths[0]).exists()


def test_where_nothing_is_left_nothing_is_shown(visited):
    (page, kept, paths), visit = visited, Visit()
    list(page.take(paths, None, visit, REQUEST))
    page.show(visit, 1200, REQUEST)
    assert list(page.take(None, None, visit, REQUEST)) == [("", "")]
    assert set(page.show(visit, 1200, REQUEST)) == {None} and not files_below(kept)


def test_a_row_that_is_clicked_while_others_are_at_work_stays_chosen(visited, tmp_path):
    (page, _, paths), visit = visited, Visit()
    soundfile.write(tmp_path / "c.wav", np.random.default_rng(0).normal(0, 0.1, 8000), 4000)
    steps = page.take([*paths, str(tmp_path / "c.wav")], None, visit, REQUEST)
    while sum(one.result is not None for one in visit.recordings) < 2:
        next(steps)
    page.choose(visit, SimpleNamespace(index=1))
    assert "b.wav" in page.show(visit, 1200, REQUEST)[0]
    (*_, (overview, wanted)) = steps
    assert all(one.result is not None for one in visit.recordings)
    assert 'data-index="1" aria-current' in overview and wanted == visit.shown


def test_a_long_recording_says_how_far_it_is_and_stops_when_its_visitor_leaves(visited, monkeypatch):
    (page, _, paths), visit, stopped = visited, Visit(), threading.Event()
    monkeypatch.setattr(page_recordings, "STATE_SECONDS", 0.01)

    def classify(path, name, progress, **_):
        while True:
            try:
                progress(3, 10)
            except Stopped:
                stopped.set()
                raise

    monkeypatch.setattr(page.service.classifier, "classify_file", classify)
    steps = page.take(paths[:1], None, visit, REQUEST)
    assert any("is being classified: 30% done" in next(steps)[0] for _ in range(1000))
    page.leave(REQUEST)
    (*_, last) = steps
    assert "a.wav: was removed" in last[0] and stopped.wait(30)
    assert (page.service.at_work, page.service.waiting) == (0, 0)


def test_the_model_is_described_without_loading_anything(classifier, tmp_path, monkeypatch):
    text = describe_model(classifier)
    assert "not** a medical device" in text and "no detector" in text
    (tmp_path / "README.md").write_text(
        "---\nx: 1\n---\n# m\n\n## Use\n\nno\n\n## Limits\n\n![badge](https://evil.example/a.png) <img src='https://b'>\n"
    )
    monkeypatch.setattr(classifier, "folder", tmp_path)
    assert card_sections(classifier) == "### Limits\n\n[badge](https://evil.example/a.png) &lt;img src='https://b'>"
    monkeypatch.setattr(classifier, "folder", None)
    assert card_sections(classifier) == ""


def test_the_look_of_the_page_asks_no_other_host():
    look = page_look()
    assert not any("http" in sheet for sheet in look["theme"]._font_css) and look["theme"]._stylesheets == []
    assert "url(" not in look["css"] and "@import" not in look["css"]
