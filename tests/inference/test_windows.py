"""Windows shorter than the model's input, how overlapping ones are merged, and which rule a recording is given."""

import json
import shutil

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lung_srad_plugin import LungSoundClassifier, LungSRADError
from lung_srad_plugin.audio.merging import MERGING, merge_probabilities
from lung_srad_plugin.export.model_config import StoredTimeline
from lung_srad_plugin.inference.result import make_segment
from lung_srad_plugin.inference.timeline_events import Event, find_events
from lung_srad_plugin.inference.windows import WindowRule, place_windows, select_rule
from lung_srad_plugin.labels import CLASSES

RECOMMENDED = {
    "window": 2.0,
    "hop": 1.0,
    "merging": "median",
    "thresholds": {"crackle": 0.0, "wheeze": 1.0},
    "min_duration": 0.5,
}


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    path = tmp_path_factory.mktemp("windows") / "noise.wav"
    soundfile.write(path, np.random.default_rng(3).normal(0, 0.1, 11 * 4000), 4000)
    return path


@pytest.fixture(scope="module")
def recommending(model_folder, tmp_path_factory):
    """A model folder whose config recommends how recordings are processed."""
    folder = shutil.copytree(model_folder, tmp_path_factory.mktemp("recommending") / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "timeline": RECOMMENDED}))
    return folder


def values(result):
    return np.array([[*segment.probabilities.values()] for segment in result.segments])


def test_short_windows_are_processed_as_cycles_of_that_length_are(classifier, noise):
    windows = [(0.0, 3.0), (3.0, 6.0), (6.0, 9.0)]
    timeline = classifier.classify_file(noise, window=3.0, hop=3.0)
    cycles = classifier.classify_file(noise, cycles=[*windows, (8.0, 11.0)])
    # The last window ends with the recording, so that it overlaps with the one before.
    assert [(segment.start, segment.end) for segment in timeline.segments] == [*windows[:2], (6, 8), (8, 9), (9, 11)]
    expected = values(cycles)
    np.testing.assert_allclose(
        values(timeline), [*expected[:3], expected[2:4].mean(axis=0), expected[3]], atol=1e-6, rtol=0
    )
    assert timeline.windows == WindowRule(3.0, 3.0) and cycles.windows is None


def test_the_embeddings_of_short_windows_are_those_of_cycles(classifier, noise):
    found = classifier.encode_file(noise, window=4.0, hop=4.0)
    expected = classifier.encode_file(noise, cycles=[(0.0, 4.0), (4.0, 8.0), (7.0, 11.0)])
    assert found.spans == expected.spans
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-6, rtol=0)


def test_a_model_without_a_recommendation_behaves_as_before(classifier, noise):
    assert classifier.select_rule() == WindowRule(8.0, 4.0, "mean")
    default, said = classifier.classify_file(noise), classifier.classify_file(noise, hop=4.0, window=8.0)
    assert default == said and [(s.start, s.end) for s in default.segments] == [(0, 3), (3, 8), (8, 11)]
    assert "events" not in default.to_dict() and "thresholds" in default.to_dict()["windows"]


def test_a_recommendation_is_used_where_the_user_says_nothing(recommending, classifier, noise):
    model = LungSoundClassifier.from_hparams(source=recommending, run_opts={"device": "cpu"})
    found = model.classify_file(noise)
    assert found.windows == WindowRule(**RECOMMENDED)
    assert found.segments == classifier.classify_file(noise, window=2.0, hop=1.0, merging="median").segments
    # A threshold of 0 is reached everywhere, one of 1 nowhere.
    assert found.events == (Event("crackle", 0.0, 11.0, pytest.approx(found.summary.crackle)),)
    assert [(event["finding"], event["end"]) for event in found.to_dict()["events"]] == [("crackle", 11.0)]
    assert json.loads(found.to_json())["windows"] == RECOMMENDED
    whole = model.classify_file(noise, window=8.0, hop=4.0, merging="mean")
    assert whole.segments == classifier.classify_file(noise).segments and whole.events == ()
    assert model.classify_file(noise, cycles=[(0.0, 4.0)]).events == ()
    assert model.encode_file(noise).vectors.shape[0] == 10


def test_thresholds_stay_only_with_the_rule_that_they_were_chosen_for():
    stored = StoredTimeline(**RECOMMENDED)
    assert select_rule(stored, 8.0) == select_rule(stored, 8.0, window=2, hop=1.0, merging="median")
    assert select_rule(stored, 8.0).thresholds == RECOMMENDED["thresholds"]
    for changed in ({"window": 4.0}, {"hop": 0.5}, {"merging": "mean"}):
        assert select_rule(stored, 8.0, **changed).thresholds == {}
    assert select_rule(stored, 8.0, window=4.0) == WindowRule(4.0, 1.0, "median")
    # The recommended hop would leave gaps.
    assert select_rule(stored, 8.0, window=0.5) == WindowRule(0.5, 0.25, "median")
    assert select_rule(None, 3.0) == WindowRule(3.0, 1.5)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"window": 0.1}, "window=0.1"),
        ({"window": 8.5}, "window=8.5"),
        ({"window": "2"}, "window='2'"),
        ({"window": float("nan")}, "window=nan"),
        ({"window": True}, "window=True"),
        ({"window": 2.0, "hop": 2.5}, "hop=2.5"),
        ({"merging": "mode"}, "merging='mode'"),
    ],
)
def test_wrong_rules_are_refused(classifier, noise, options, named):
    with pytest.raises(LungSRADError, match=named):
        classifier.classify_file(noise, **options)


@given(data=st.data(), merging=st.sampled_from(MERGING))
def test_merged_probabilities_lie_between_those_of_the_windows(data, merging):
    samples, window = data.draw(st.integers(1, 200)), data.draw(st.integers(1, 40))
    windows = place_windows(samples, window, data.draw(st.integers(1, window)))
    raw = data.draw(arrays(float, (len(windows), 3), elements=st.floats(0.01, 1)))
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    stretches, merged = merge_probabilities(windows, probabilities, merging)
    np.testing.assert_allclose(merged.sum(axis=1), 1)
    assert stretches[0, 0] == 0 and stretches[-1, 1] == samples
    for (begin, end), row in zip(stretches, merged, strict=True):
        covering = [p for (b, e), p in zip(windows, probabilities, strict=True) if b <= begin and end <= e]
        normal = [p[0] for p in covering]
        if merging == "mean":
            np.testing.assert_allclose(row, np.mean(covering, axis=0))
        elif merging == "max":
            assert row[0] == min(normal)
        elif merging == "nearest":
            assert min(normal) - 1e-12 <= row[0] <= max(normal) + 1e-12
        else:
            median = np.median(covering, axis=0)
            np.testing.assert_allclose(row, median / median.sum())


def test_certain_windows_of_different_classes_have_a_median():
    _, merged = merge_probabilities([(0, 3), (1, 4), (2, 5)], np.eye(3), "median")
    np.testing.assert_allclose(merged[2], [1 / 3] * 3)


def test_a_gap_between_windows_stays_a_gap():
    stretches, _ = merge_probabilities([(0, 2), (5, 7)], [[1.0, 0.0]] * 2)
    assert stretches.tolist() == [[0, 2], [5, 7]]


def test_events_are_runs_of_segments_without_a_gap():
    rows = [(0, 1, 0.6, 0.0), (1, 2, 0.8, 0.1), (3, 3.4, 0.3, 0.7), (4, 6, 0.1, 0.9)]
    segments = [
        make_segment(start, end, CLASSES, (1 - crackle - wheeze, crackle, wheeze, 0))
        for start, end, crackle, wheeze in rows
    ]
    found = find_events(segments, {"crackle": 0.6, "wheeze": 0.7}, min_duration=0.5)
    assert found == (Event("crackle", 0.0, 2.0, pytest.approx(0.7)), Event("wheeze", 4.0, 6.0, pytest.approx(0.9)))
    short = find_events(segments, {"wheeze": 0.7})
    assert [(event.start, event.end) for event in short] == [(3, 3.4), (4, 6)]


def test_findings_that_the_classes_do_not_have_give_no_events():
    segments = [make_segment(0, 1, ("normal", "adventitious"), (0.2, 0.8))]
    assert [event.finding for event in find_events(segments, {"crackle": 0.5, "abnormal": 0.5})] == ["abnormal"]
