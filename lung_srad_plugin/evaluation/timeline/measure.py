"""A timeline's numbers: by data set and finding, by time and by event, with intervals of resampled patients."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lung_srad_plugin.evaluation.timeline.axis import Axis, Timeline
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.timeline import event_metrics, find_runs, frame_metrics

METRICS = ("auroc", "sensitivity", "specificity", "precision", "recall", "f1", "run_precision", "run_recall", "run_f1")


@dataclass(frozen=True)
class Measured:
    """How well a timeline agrees with the annotation of a data set, for one finding.

    Arguments
    ---------
    data_set, finding : str
    threshold : float
        Of the finding's probability.
    patients, recordings : int
        Of the data set.
    seconds, positive_seconds : float
        That are annotated, and that have the finding, counted in frames.
    events : int
        That have the finding.
    metrics : dict
        ``Interval`` as dict by name: of frames ``auroc``, ``sensitivity`` and ``specificity``; of events ``precision``,
        ``recall`` and ``f1``; and the same of runs.
    """

    data_set: str
    finding: str
    threshold: float
    patients: int
    recordings: int
    seconds: float
    positive_seconds: float
    events: int
    metrics: dict[str, dict[str, Any]]


def measure_timeline(
    axis: Axis,
    timeline: Timeline,
    thresholds: dict[str, float],
    min_duration: float,
    frame: float,
    bootstrap: Bootstrap,
) -> list[Measured]:
    """Compare a timeline with the annotation, for each data set and finding.

    Arguments
    ---------
    axis : Axis
    timeline : Timeline
        Of its recordings.
    thresholds : dict
        By finding.
    min_duration : float
        The shortest run of positive answers that counts as an event, in seconds.
    frame : float
        The axis's seconds from one frame to the next.
    bootstrap : Bootstrap

    Returns
    -------
    list of Measured
    """
    found = []
    data_sets = np.array([each.data_set for each in axis.recordings])
    patients = np.array([each.patient for each in axis.recordings])
    for data_set in dict.fromkeys(data_sets):
        here = data_sets == data_set
        frames = here[axis.frame_recording]
        names, group = np.unique(patients[here], return_inverse=True)
        groups = np.full(len(patients), len(names))  # recordings of other sets are one group too many
        groups[here] = group
        for finding in axis.findings:
            threshold = thresholds[finding]
            positive = axis.positive_frames(finding)[frames]
            scores = timeline.at(axis.frames, finding)[frames]
            runs = find_runs(timeline.starts, timeline.ends, timeline.scores[finding], threshold, min_duration)
            events, matches = (
                [count[: len(names)] for count in counted(finding, runs, groups, len(names) + 1)]
                for counted in (axis.count_events, axis.count_runs)
            )
            owners = patients[axis.frame_recording[frames]]
            metrics = bootstrap.intervals(_of_frames(positive, scores, threshold), owners)
            metrics |= bootstrap.intervals(_of_events(events), names.tolist())
            of_runs = bootstrap.intervals(_of_events(matches), names.tolist())
            metrics |= {f"run_{name}": interval for name, interval in of_runs.items()}
            found.append(
                Measured(
                    str(data_set),
                    finding,
                    threshold,
                    len(names),
                    int(here.sum()),
                    round(len(positive) * frame, 1),
                    round(int(positive.sum()) * frame, 1),
                    int(events[0].sum() + events[1].sum()),
                    {name: asdict(metrics[name]) for name in METRICS},
                )
            )
    return found


def _of_frames(positive, scores, threshold):
    return lambda weights: frame_metrics(positive, scores, threshold, weights)


def _of_events(counts: Sequence[np.ndarray]):
    return lambda weights: event_metrics(*(weights @ count for count in counts))
