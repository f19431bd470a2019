"""Timelines against annotated events: counted by hand, compared with another implementation, and on what is perfect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lung_srad_plugin.metrics.timeline import (
    Coverage,
    called_events,
    event_metrics,
    find_runs,
    frame_metrics,
    match_events,
    sample_timeline,
)

# Scores of frames of 0.5 s and the events of four recordings of 20 s, and what sed_scores_eval 0.0.4 counts of them:
# intersection_based.fscore(..., dtc_threshold=0.5, gtc_threshold=0.5), by threshold: found, wrong, all events.
CASES = [
    (
        [
            (
                [0.14, 0.25, 0.38, 0.64, 0.85, 0.89, 0.86, 0.62, 0.67, 0.47, 0.4, 0.15, 0.48, 0.36, 0.46, 0.34, 0.29,
                 0.0, 0.05, 0.18, 0.26, 0.4, 0.73, 0.85, 0.87, 0.88, 1.0, 0.76, 0.44, 0.45, 0.4, 0.26, 0.29, 0.59,
                 0.67, 0.6, 0.7, 0.64, 0.53, 0.3],
                [(0.78, 3.49), (4.25, 6.27), (6.61, 9.17), (11.55, 12.57), (15.21, 15.76), (16.83, 17.62)],
            ),
            (
                [0.24, 0.0, 0.12, 0.2, 0.29, 0.29, 0.58, 0.5, 0.44, 0.43, 0.67, 0.5, 0.7, 0.83, 0.76, 0.66, 0.85, 0.85,
                 0.83, 0.94, 0.9, 0.75, 0.69, 0.68, 0.67, 0.74, 0.88, 0.65, 0.76, 0.82, 0.91, 0.6, 0.85, 0.93, 0.94,
                 0.67, 0.99, 1.0, 0.95, 0.79],
                [(0.46, 2.94), (5.72, 6.81), (8.47, 10.02), (12.82, 13.33), (15.55, 17.55), (17.73, 20.0)],
            ),
        ],
        {0.3: (3, 3, 12), 0.5: (1, 4, 12), 0.7: (6, 3, 12)},
    ),
    (
        [
            (
                [0.89, 0.53, 0.45, 0.19, 0.65, 0.51, 0.61, 0.55, 0.79, 0.41, 0.18, 0.2, 0.38, 0.21, 0.51, 0.73, 0.73,
                 0.64, 0.78, 0.68, 0.89, 0.93, 1.0, 0.88, 1.0, 0.58, 0.6, 0.78, 0.5, 0.49, 0.63, 0.84, 0.38, 0.55, 0.16,
                 0.29, 0.0, 0.36, 0.65, 0.68],
                [(1.73, 2.28), (3.48, 5.0), (6.52, 9.46), (11.81, 13.01), (13.89, 16.53)],
            ),
            (
                [0.2, 0.36, 0.55, 0.42, 0.69, 1.0, 0.94, 0.96, 0.79, 0.44, 0.34, 0.32, 0.03, 0.09, 0.42, 0.37, 0.31,
                 0.32, 0.38, 0.22, 0.02, 0.19, 0.35, 0.13, 0.23, 0.61, 0.44, 0.33, 0.41, 0.37, 0.04, 0.03, 0.15, 0.48,
                 0.23, 0.36, 0.43, 0.25, 0.0, 0.0],
                [(1.45, 2.08), (3.33, 6.0), (7.47, 10.24), (12.56, 15.34), (15.81, 16.4), (16.7, 19.36)],
            ),
        ],
        {0.3: (9, 4, 11), 0.5: (5, 4, 11), 0.7: (0, 3, 11)},
    ),
]  # fmt: skip


@pytest.mark.parametrize("recordings,expected", CASES)
def test_events_are_counted_as_another_implementation_counts_them(recordings, expected):
    for threshold, (found, wrong, events) in expected.items():
        counts = np.zeros(3, dtype=int)
        for scores, annotated in recordings:
            starts = 0.5 * np.arange(len(scores))
            runs = find_runs(starts, starts + 0.5, scores, threshold)
            matches = match_events(*np.transpose(annotated), runs.starts, runs.ends, Coverage([0.0], [20.0]))
            counts += (matches.found.sum(), matches.wrong.sum(), len(annotated))
        assert tuple(counts) == (found, wrong, events)


def test_a_small_timeline_by_hand():
    # Annotated 0 to 8 s and 10 to 14 s; crackles 2 to 4, 4 to 6 and 12 to 14 s.
    starts, ends = [0, 1, 2, 5, 7, 9, 11], [1, 2, 5, 7, 9, 11, 14]
    scores = [0.1, 0.6, 0.9, 0.2, 0.7, 0.8, 0.4]
    annotated = Coverage([0, 2, 4, 6, 10, 12], [2, 4, 6, 8, 12, 14])
    runs = find_runs(starts, ends, scores, threshold=0.5)
    assert list(zip(runs.starts, runs.ends, strict=True)) == [(1, 5), (7, 11)]
    matches = match_events([2, 4, 12], [4, 6, 14], runs.starts, runs.ends, annotated)
    # 3 of 4 s of the first run lie in crackles; of the second 2 s are annotated, 1 s each side, and none are crackles.
    # The first event is covered, the second half so, the third not at all.
    assert matches.found.tolist() == [True, True, False] and matches.wrong.tolist() == [False, True]
    metrics = event_metrics(found=2, missed=1, wrong=1)
    assert {name: float(value) for name, value in metrics.items()} == pytest.approx(
        {"precision": 200 / 3, "recall": 200 / 3, "f1": 200 / 3}
    )
    # Half of the event from 4 to 6 s is enough, and 1 of the 2 s from 0 to 2, from 6 to 8 and from 10 to 12 s as well.
    every = np.array([0, 2, 4, 6, 10, 12])
    assert called_events(every, every + 2, runs.starts, runs.ends).tolist() == [True] * 5 + [False]
    # A tenth of a second longer, 1 s is less than half; the first and fourth gain as much as they grow.
    longer = called_events(every, every + 2.1, runs.starts, runs.ends)
    assert longer.tolist() == [True, True, False, True, False, False]
    times = np.arange(0.5, 14)
    times = times[annotated.contains(times)]
    positive = Coverage([2, 4, 12], [4, 6, 14]).contains(times)
    found = frame_metrics(positive, sample_timeline(starts, ends, scores, times), threshold=0.5)
    # Frames of 1 s: 3 of the 6 crackle seconds are called so; of 6 normal ones, 3 are: 1.5, 7.5 and 10.5 s.
    assert found["sensitivity"] == 50 and found["specificity"] == 50
    # Scores of crackle seconds: .9 .9 .9 .2 .4 .4; of normal ones: .1 .6 .2 .7 .8 .4. Pairs won: 6 each for .9; for .2
    # one, and half of a tie; for .4 twice two and half of a tie.
    assert found["auroc"] == pytest.approx((18 + 1.5 + 2 * 2.5) / 36)


def test_runs_end_at_gaps_and_short_ones_are_left_out():
    starts, ends, scores = [0, 1, 3, 4.0], [1, 2, 3.5, 6], [0.9, 0.9, 0.9, 0.9]
    runs = find_runs(starts, ends, scores, 0.5)
    assert list(zip(runs.starts, runs.ends, strict=True)) == [(0, 2), (3, 3.5), (4, 6)]
    assert find_runs(starts, ends, scores, 0.5, min_duration=2.0).starts.tolist() == [0, 4]
    assert len(find_runs(starts, ends, scores, 0.95).starts) == 0 and len(find_runs([], [], [], 0.5).starts) == 0


def test_nothing_annotated_counts_for_nothing():
    matches = match_events([], [], [0.0], [1.0], Coverage([5.0], [6.0]))
    assert not matches.judged[0] and not matches.wrong[0]
    assert all(np.isnan(value) for value in event_metrics(0, 0, 0).values())
    # Wrong runs without any event: the precision is 0, and an F1 cannot be told from that of a better model.
    found = event_metrics(0, 0, 3)
    assert found["precision"] == 0 and np.isnan(found["recall"]) and np.isnan(found["f1"])


@st.composite
def stretches(draw, most=8):
    # Quarters of a second, so that sums are exact.
    count = draw(st.integers(1, most))
    starts = draw(st.lists(st.integers(0, 60), min_size=count, max_size=count))
    lengths = draw(st.lists(st.integers(1, 20), min_size=count, max_size=count))
    return np.array(starts) / 4, (np.array(starts) + np.array(lengths)) / 4


@given(some=stretches(), spans=stretches())
def test_coverage_is_what_counting_quarters_of_a_second_gives(some, spans):
    middles = np.arange(0.125, 25, 0.25)
    covered = ((middles[:, None] >= some[0]) & (middles[:, None] < some[1])).any(axis=1)
    cover = Coverage(*some)
    assert (cover.contains(middles) == covered).all()
    for start, end in zip(*spans, strict=True):
        expected = 0.25 * covered[(middles > start) & (middles < end)].sum()
        assert cover.between([start], [end])[0] == pytest.approx(expected)


@given(data=st.data())
def test_a_perfect_timeline_has_perfect_scores(data):
    lengths = data.draw(st.lists(st.integers(2, 12), min_size=2, max_size=20))
    positive = np.array(data.draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths))))
    positive[:2] = True, False
    edges = np.concatenate([[0], np.cumsum(lengths)]) / 4
    starts, ends = edges[:-1], edges[1:]
    scores = np.where(positive, 0.75, 0.25)
    annotated = Coverage(starts, ends)
    runs = find_runs(starts, ends, scores, 0.5)
    matches = match_events(starts[positive], ends[positive], runs.starts, runs.ends, annotated)
    events = event_metrics(matches.found.sum(), (~matches.found).sum(), matches.wrong.sum())
    assert (called_events(starts, ends, runs.starts, runs.ends) == positive).all()
    times = np.arange(0.125, edges[-1], 0.25)
    has = Coverage(starts[positive], ends[positive]).contains(times)
    frames = frame_metrics(has, sample_timeline(starts, ends, scores, times), 0.5)
    assert [float(value) for value in events.values()] == [100, 100, 100]
    assert [value.item() for value in frames.values()] == [1, 100, 100]


@given(some=stretches(), spans=stretches(), threshold=st.sampled_from([0.2, 0.5, 0.8]))
def test_a_higher_threshold_calls_no_more_time(some, spans, threshold):
    starts, ends = np.unique(some[0]), np.unique(some[0]) + 0.25
    scores = np.linspace(0, 1, len(starts))
    lower, higher = (find_runs(starts, ends, scores, value) for value in (threshold, threshold + 0.1))
    assert (higher.ends - higher.starts).sum() <= (lower.ends - lower.starts).sum() + 1e-9
    inside = Coverage(lower.starts, lower.ends).between(higher.starts, higher.ends)
    np.testing.assert_allclose(inside, higher.ends - higher.starts)
