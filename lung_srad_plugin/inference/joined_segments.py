"""Segments as a result is shown to people: joined where they lie close and agree."""

from dataclasses import replace

from lung_srad_plugin.inference.result import Classification, Segment, summarize

CLOSE_HOP = 2.0  # seconds: where windows lie closer, a row for each stretch would make the table long


def join_segments(result: Classification) -> tuple[Segment, ...]:
    """Return the segments of a result; where windows lie close, neighbours that agree are one with their mean.

    Neighbours agree where their class is the same, and whether they are called abnormal, uncertain and unlike the
    training sounds.

    Arguments
    ---------
    result : Classification
    """
    if result.windows is None or result.windows.hop >= CLOSE_HOP:
        return tuple(result.segments)
    runs: list[list[Segment]] = []
    for segment in result.segments:
        if runs and _alike(runs[-1][-1], segment, result):
            runs[-1].append(segment)
        else:
            runs.append([segment])
    labels = list(result.summary.probabilities)
    return tuple(run[0] if len(run) == 1 else _keep_flags(summarize(run, labels), run[0]) for run in runs)


def _keep_flags(mean: Segment, first: Segment) -> Segment:
    """Give the mean of a run what its segments agree in."""
    return replace(mean, uncertain=first.uncertain, unlike_training=first.unlike_training)


def _alike(segment: Segment, following: Segment, result: Classification) -> bool:
    alike = all(getattr(segment, key) == getattr(following, key) for key in ("label", "uncertain", "unlike_training"))
    touching = alike and segment.end == following.start
    if not touching or result.operating_point is None:
        return touching
    return result.called_abnormal(segment) == result.called_abnormal(following)
