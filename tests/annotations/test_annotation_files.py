"""Annotation files: written and read back, read by other libraries, recognised, and refused with every fault."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.annotations.files import (
    find_annotation,
    format_annotations,
    parse_annotations,
    read_annotations,
    write_annotations,
)
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES

MICROSECONDS = 3_600_000_000  # an hour
LABELS = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff"), min_size=1, max_size=12
).map(str.strip)
HZ = st.integers(0, 24_000_000).map(lambda value: value / 1000)


@st.composite
def make_events(draw, labels=LABELS, bounds="none", overlap=True):
    events, last = [], 0
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0 if overlap else last, last + 1000 + MICROSECONDS // 10))
        end = last = start + draw(st.integers(1, MICROSECONDS // 10))
        low, high = None, None
        if bounds != "none" and draw(st.booleans()):
            low, high = sorted((draw(HZ), draw(HZ)))
            if bounds == "any":
                low, high = draw(st.sampled_from([(low, high), (None, high), (low, None)]))
        label = draw(labels.filter(bool))
        events.append(AnnotatedEvent(start / 1e6, end / 1e6, label, low, high))
    return events


def round_trip(events, folder, format, name="a.txt"):
    path = folder / name
    path.write_text(format_annotations(events, format, duration=10_000.0), encoding="utf-8")
    return read_annotations(path, format)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("annotations")


def by_time(events):
    return sorted(events, key=lambda event: (event.start_s, event.end_s, event.label))


@given(events=make_events(bounds="any"))
def test_audacity_keeps_events(events, folder):
    assert round_trip(events, folder, "audacity") == events


@given(events=make_events(bounds="both"))
def test_raven_keeps_events(events, folder):
    assert round_trip(events, folder, "raven") == events


@given(events=make_events(labels=st.text("abc \"'<>ä{}=", min_size=1).map(str.strip)))
def test_textgrid_keeps_events_that_overlap_too(events, folder):
    assert by_time(round_trip(events, folder, "textgrid", "a.TextGrid")) == by_time(events)


@given(events=make_events(labels=st.sampled_from(CLASSES), overlap=False))
def test_icbhi_keeps_cycles(events, folder):
    assert round_trip(events, folder, "icbhi") == events


EVENTS = [AnnotatedEvent(0.5, 2.25, "wheeze", 200.0, 450.5), AnnotatedEvent(2.5, 3.000001, "fine crackle", 0.0, 900.0)]
PLAIN = [AnnotatedEvent(event.start_s, event.end_s, event.label) for event in EVENTS]


def test_crowsetta_reads_what_is_written_for_raven_and_audacity(tmp_path):
    crowsetta = pytest.importorskip("crowsetta", reason="the reader to compare with")
    write_annotations(EVENTS, tmp_path / "a.selections.txt", "raven")
    boxes = crowsetta.formats.bbox.Raven.from_file(tmp_path / "a.selections.txt").to_bbox()
    found = [AnnotatedEvent(box.onset, box.offset, box.label, box.low_freq, box.high_freq) for box in boxes]
    assert found == EVENTS
    write_annotations(PLAIN, tmp_path / "plain.selections.txt", "raven")
    boxes = crowsetta.formats.bbox.Raven.from_file(tmp_path / "plain.selections.txt").to_bbox()
    assert [AnnotatedEvent(box.onset, box.offset, box.label) for box in boxes] == PLAIN
    write_annotations(PLAIN, tmp_path / "a.txt", "audacity")
    track = crowsetta.formats.seq.AudSeq.from_file(tmp_path / "a.txt")
    assert [
        AnnotatedEvent(*values) for values in zip(track.start_times, track.end_times, track.labels, strict=True)
    ] == PLAIN


def test_files_of_the_programs_read_as_crowsetta_reads_them():
    crowsetta = pytest.importorskip("crowsetta", reason="its examples are files of the programs themselves")
    path = crowsetta.example("Recording1", return_path=True)
    boxes = crowsetta.formats.bbox.Raven.from_file(path, annot_col="Species").to_bbox()
    events = read_annotations(path)
    assert len(events) == len(boxes) == 6
    assert events == [AnnotatedEvent(b.onset, b.offset, b.label, b.low_freq, b.high_freq) for b in boxes]
    path = crowsetta.example("marron1", return_path=True)
    track = crowsetta.formats.seq.AudSeq.from_file(path)
    events = read_annotations(path)
    assert [event.start_s for event in events] == track.start_times.tolist()
    assert [event.label for event in events] == list(track.labels)
    path = crowsetta.example("AVO-maea-basic", return_path=True)
    tiers = crowsetta.formats.seq.TextGrid.from_file(path).tiers
    intervals = [one for tier in tiers if hasattr(tier, "intervals") for one in tier.intervals if one.text.strip()]
    points = [one for tier in tiers if hasattr(tier, "points") for one in tier.points]
    events, problems = parse_annotations(path)
    assert by_time(events) == by_time([AnnotatedEvent(one.xmin, one.xmax, one.text) for one in intervals])
    assert len(problems) == len(points) > 0


def test_praatio_reads_a_textgrid_of_the_duration_given(tmp_path):
    from praatio import textgrid

    write_annotations([*PLAIN, AnnotatedEvent(1.0, 3.0, "wheeze")], tmp_path / "a.TextGrid", "textgrid", duration=15.0)
    grid = textgrid.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=True)
    assert (grid.minTimestamp, grid.maxTimestamp, grid.tierNames) == (0, 15.0, ("lung sounds", "lung sounds 2"))
    first, second = grid.tiers
    assert [tuple(entry) for entry in first.entries] == [
        (0.0, 0.5, ""), (0.5, 2.25, "wheeze"), (2.25, 2.5, ""), (2.5, 3.000001, "fine crackle"), (3.000001, 15.0, ""),
    ]  # fmt: skip
    assert [tuple(entry) for entry in second.entries if entry.label] == [(1.0, 3.0, "wheeze")]


def test_textgrids_of_praat_in_both_forms_and_encodings(tmp_path):
    from praatio import textgrid

    tier = textgrid.IntervalTier("breath", [(0.5, 2.0, 'wheeze "soft"')], 0, 4)
    grid = textgrid.Textgrid()
    grid.addTier(tier)
    for form in ("short_textgrid", "long_textgrid"):
        path = tmp_path / f"{form}.TextGrid"
        grid.save(str(path), format=form, includeBlankSpaces=True)
        (tmp_path / f"{form} 16.TextGrid").write_text(path.read_text(encoding="utf-8"), encoding="utf-16")
        for name in (path, tmp_path / f"{form} 16.TextGrid"):
            assert read_annotations(name) == [AnnotatedEvent(0.5, 2.0, 'wheeze "soft"')]


def test_spectral_labels_of_audacity_may_lack_a_bound(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("1.000000\t2.000000\tlow\n\\\t-1.000000\t600.5\n3.0\t3.5\t\n")
    assert read_annotations(path) == [AnnotatedEvent(1.0, 2.0, "low", None, 600.5), AnnotatedEvent(3.0, 3.5, "")]


def test_raven_tables_without_frequencies_or_with_views_and_gaps(tmp_path):
    path = tmp_path / "a.txt"
    head = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tLabel\n"
    rows = "1\tWaveform 1\t1\t0.5\t2\t0\t2000\tx\n1\tSpectrogram 1\t1\t0.5\t2\t10\t20\tx\n"
    rows += "2\tSpectrogram 1\t1\t3\t4\t5\t6\n"
    path.write_text(head + rows)
    assert read_annotations(path) == [AnnotatedEvent(0.5, 2.0, "x", 10.0, 20.0), AnnotatedEvent(3.0, 4.0, "", 5.0, 6.0)]
    path.write_text("Begin Time (s)\tEnd Time (s)\tAnnotation\n0.5\t2\twheeze\n")
    assert read_annotations(path) == [AnnotatedEvent(0.5, 2.0, "wheeze")]


def test_data_sets_annotations_are_read(tmp_path):
    (tmp_path / "a.txt").write_text("0.5\t2.0\t0\t1\n2.0\t3.5\t1\t1\n")
    assert [event.label for event in read_annotations(tmp_path / "a.txt")] == ["wheeze", "both"]
    events = [{"start": "342", "end": "2515", "type": "Fine Crackle"}]
    (tmp_path / "a.json").write_text(json.dumps({"record_annotation": "DAS", "event_annotation": events}))
    assert read_annotations(tmp_path / "a.json") == [AnnotatedEvent(0.342, 2.515, "fine crackle")]


BAD = {
    "point": ("audacity", "1.0\t1.0\tcough\n2.0\t1.5\tx\n", ["line 1", "no length", "line 2", "not before"]),
    "fields": ("audacity", "1.0\t2.0\tx\n1\t2\t3\t4\n", ["line 2", "malformed"]),
    "lonely frequencies": ("audacity", "\\\t1.0\t2.0\n", ["line 1", "without the label"]),
    "bad frequencies": ("audacity", "1.0\t2.0\tx\n\\\tlow\t2.0\n", ["line 2", "backslash"]),
    "reversed frequencies": ("audacity", "1.0\t2.0\tx\n\\\t30\t20\n", ["above high frequency"]),
    "no label column": ("raven", "Begin Time (s)\tEnd Time (s)\tNote\n1\t2\tx\n", ["column of labels", "Annotation"]),
    "comma": ("raven", "Begin Time (s)\tEnd Time (s)\tLabel\n0,5\t2\tx\n", ["line 2", "decimal point"]),
    "too many": ("raven", "Begin Time (s)\tEnd Time (s)\tLabel\n1\t2\tx\ty\n", ["line 2", "4 fields"]),
    "infinite": ("audacity", "1.0\tinf\tx\n-1\t2\ty\n", ["line 1", "finite", "line 2", "negative"]),
    "no json": ("sprsound", "{", ["not JSON"]),
    "no grid": ("textgrid", 'File type = "ooTextFile"\nObject class = "TextGrid"\n', ["cannot be read as a TextGrid"]),
    "icbhi": ("icbhi", "0.5 2.0 0 7\n", ["line 1", "unknown finding"]),
}


@pytest.mark.parametrize("kind", BAD)
def test_faults_are_listed_with_their_lines(kind, tmp_path):
    format, text, parts = BAD[kind]
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(LungSRADError) as raised:
        read_annotations(path)
    for part in parts:
        assert part in str(raised.value)
    with pytest.raises(LungSRADError):
        read_annotations(path, format)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0.5 2.0 wheeze\n", "no known format, which begins with '0.5 2.0 wheeze'; expected lines of start"),
        (b"start,end,label\n0.5,2.0,wheeze\n", "no known format, which begins with 'start,end,label'"),
        ("0.5\t2.0\tGeräusch\n".encode("latin-1"), "not written in UTF-8 or UTF-16; save it as UTF-8"),
        (bytes(range(256)), "not a text file"),
        (b" \r\n", "the file is empty"),
    ],
)
def test_what_is_no_annotation_is_said_in_the_words_of_all_formats(content, message, tmp_path):
    for name in ("a.txt", "a.TextGrid") if not content.strip() else ("a.txt",):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LungSRADError, match=message):
            read_annotations(tmp_path / name)


def test_a_point_of_praat_is_a_fault(tmp_path):
    from praatio import textgrid

    grid = textgrid.Textgrid()
    grid.addTier(textgrid.PointTier("clicks", [(0.5, "cough")], 0, 4))
    grid.save(str(tmp_path / "a.TextGrid"), format="long_textgrid", includeBlankSpaces=True)
    with pytest.raises(LungSRADError, match=r"tier 'clicks', entry 1: a point at 0\.5 s"):
        read_annotations(tmp_path / "a.TextGrid")


@pytest.mark.parametrize(
    ("events", "format", "message"),
    [
        (EVENTS, "textgrid", "2 events have frequency bounds"),
        (EVENTS, "icbhi", "2 events have frequency bounds"),
        ([AnnotatedEvent(0.5, 1.0, "x", 5.0)], "raven", "low or a high frequency"),
        ([AnnotatedEvent(0.5, 1.0, "")], "textgrid", "no label, the first at 0.5 s"),
        ([], "textgrid", "duration"),
        ([AnnotatedEvent(0.5, 1.0, 'a "IntervalTier" b')], "textgrid", "word of the TextGrid form"),
        ([AnnotatedEvent(0.5, 1.0, "cough")], "icbhi", "unknown label 'cough'"),
        ([AnnotatedEvent(0.5, 1.0, "wheeze"), AnnotatedEvent(0.75, 2.0, "wheeze")], "icbhi", "do not overlap"),
        (PLAIN, "sprsound", "expected one of icbhi, audacity, raven, textgrid"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(events, format, message, tmp_path):
    with pytest.raises(LungSRADError, match=message):
        write_annotations(events, tmp_path / "a.txt", format)
    assert not (tmp_path / "a.txt").exists()


def test_files_of_others_are_not_overwritten(tmp_path):
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(LungSRADError, match=r"a\.txt"):
        write_annotations(PLAIN, tmp_path / "a.txt", "audacity")
    assert (tmp_path / "a.txt").read_text() == "mine"


def test_one_annotation_beside_a_recording_is_found(tmp_path):
    assert find_annotation(tmp_path / "a.wav").name == "a.txt"
    for name in ("a.selections.txt", "a.lung-srad.txt", "ab.txt", "a.b.txt"):
        (tmp_path / name).touch()
    assert find_annotation(tmp_path / "a.wav").name == "a.selections.txt"
    (tmp_path / "a.TextGrid").touch()
    with pytest.raises(LungSRADError, match=r"a\.TextGrid, a\.selections\.txt"):
        find_annotation(tmp_path / "a.wav")


def test_without_praatio_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "praatio", None)
    with pytest.raises(LungSRADError, match=r"lung-srad\[formats\]"):
        write_annotations(PLAIN, tmp_path / "a.TextGrid", "textgrid")
