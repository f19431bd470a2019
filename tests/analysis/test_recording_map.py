"""Maps over recordings: what a clip adds lies at its time, repeats count for their cycle, overlaps are averaged."""

import numpy as np
import pytest
import torch

from lung_srad_plugin.analysis import recording_map
from lung_srad_plugin.analysis.clip_maps import explain_clip
from lung_srad_plugin.analysis.recording_map import explain_recording
from lung_srad_plugin.audio.feature_axes import feature_axes, mel_scale
from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.inference.figure import plot_timeline
from lung_srad_plugin.inference.recording import cut_recording, recording_clips
from lung_srad_plugin.reporting.map_figure import RecordingMap

RATE = 4000


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)


@pytest.fixture
def at_the_loudest(monkeypatch):
    """Each clip's map is 1 at the loudest position of its features, and 0 elsewhere."""

    def map_of(method, decision, feats, cells):
        found = torch.zeros_like(feats[0])
        found.view(-1)[feats.argmax()] = 1
        return found

    monkeypatch.setattr(recording_map, "map_of", map_of)


def beep(seconds, at, hertz):
    time = np.arange(int(seconds * RATE)) / RATE
    sound = np.sin(2 * np.pi * hertz * time) * np.exp(-(((time - at) / 0.03) ** 2))
    return (sound + 1e-3 * noise(seconds)).astype(np.float32)


@pytest.mark.parametrize(("at", "hertz"), [(2.05, 300), (9.55, 1200), (18.95, 700)])
def test_what_counts_lies_at_its_time_and_frequency(classifier, at_the_loudest, at, hertz):
    found = explain_recording(classifier, audio_source(beep(20.0, at, hertz), RATE), hop=4.0)
    assert found.values.shape == (16, 200) and found.duration == pytest.approx(20.0)
    row, column = np.unravel_index(np.nanargmax(found.values), found.values.shape)
    assert (column + 0.5) * 0.1 == pytest.approx(at, abs=0.11)
    height = (found.top - found.bottom) / 16
    assert found.bottom + (row + 0.5) * height == pytest.approx(mel_scale(hertz), abs=height)


def test_overlapping_windows_are_averaged(classifier, at_the_loudest):
    sound = audio_source(beep(16.0, 6.05, 500), RATE)
    once, twice = (explain_recording(classifier, sound, hop=hop).values for hop in (8.0, 4.0))
    around = slice(57, 65)
    assert [once[:, around].sum(), twice[:, around].sum()] == pytest.approx([1, 1], rel=0.1)
    # The last window is noise: its one loudest position counts in full once, and half where another window lies too.
    assert [once.sum(), twice.sum()] == pytest.approx([2, 1.5], rel=0.1)


def clip_sums(classifier, source, cycles=None, window=8.0, hop=8.0):
    cut = cut_recording(classifier, source, cycles, classifier.select_rule(window, hop))
    clips = list(recording_clips(classifier, cut))
    return [explain_clip(classifier, clip, ["mixing"], "abnormal").explanation.maps["mixing"].sum() for clip in clips]


def test_windows_that_do_not_overlap_add_up_to_their_maps(classifier):
    source = audio_source(noise(16.0), RATE)
    found = explain_recording(classifier, source, hop=8.0)
    expected = sum(clip_sums(classifier, source)).item()
    assert found.values.shape == (16, 160) and not np.isnan(found.values).any()
    assert found.values.sum() == pytest.approx(expected, rel=0.05, abs=0.02)


def test_a_repeated_cycle_counts_once_for_its_time(classifier):
    source = audio_source(noise(6.0), RATE)
    cycles = [(1.0, 3.0), (4.0, 5.5)]
    found = explain_recording(classifier, source, cycles)
    there = ~np.isnan(found.values).any(axis=0)
    assert there.nonzero()[0].tolist() == [*range(10, 30), *range(40, 55)]
    sums = found.values[:, 10:30].sum(), found.values[:, 40:55].sum()
    assert sums == pytest.approx([one.item() for one in clip_sums(classifier, source, cycles)], rel=0.1, abs=0.02)


def test_the_picture_shows_the_map_where_the_recording_was_classified(classifier):
    source = audio_source(noise(6.0), RATE)
    result = classifier.classify_file(source, cycles=[(1.0, 3.0)])
    axes = feature_axes(classifier.mods.compute_features)
    given = RecordingMap(np.ones((16, 60)), 6.0, axes.bottom, axes.top, "abnormal", "mixing map")
    (drawn,) = [one for one in plot_timeline(result, source, given).axes if "mixing map" in one.get_title(loc="left")]
    strength = drawn.images[1].get_array()[..., 3]
    assert (strength[:, 10:30] > 0.5).all() and (strength[:, :10] == 0).all() and (strength[:, 30:] == 0).all()
    assert drawn.images[1].get_extent() == [0, 6.0, axes.bottom, axes.top]
    plain = plot_timeline(result, source)
    assert not any("mixing map" in one.get_title(loc="left") for one in plain.axes)
