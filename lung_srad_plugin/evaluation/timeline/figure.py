"""The picture of a few recordings: what is annotated, and what the timeline says at the same time."""

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from lung_srad_plugin.evaluation.timeline.axis import Axis, Timeline
from lung_srad_plugin.inference.windows import WindowRule
from lung_srad_plugin.metrics.timeline import find_runs
from lung_srad_plugin.reporting.figures import COLOURS
from lung_srad_plugin.utils.text import figure_text

# Colour and line style, so that grey printers tell the findings apart too.
STYLES = {
    "crackle": (COLOURS["crackle"], "-"),
    "wheeze": (COLOURS["wheeze"], (0, (5, 1.5))),
    "abnormal": ("#000000", "-"),
}
UNKNOWN = "0.88"


def select_recordings(axis: Axis, count: int) -> list[int]:
    """Return the indices of recordings worth a look: of each data set in turn, those with the most changes of class.

    Arguments
    ---------
    axis : Axis
    count : int
        How many at most.
    """
    by_set: dict[str, list[tuple[int, int]]] = {}
    for index, recording in enumerate(axis.recordings):
        targets = recording.targets[np.argsort(recording.starts)]
        changes = int((np.diff(targets) != 0).sum()) + len(set(targets.tolist()))
        by_set.setdefault(recording.data_set, []).append((-changes, index))
    queues = [[index for _, index in sorted(pairs)] for pairs in by_set.values()]
    turns = [queue[turn] for turn in range(max(map(len, queues))) for queue in queues if turn < len(queue)]
    return turns[:count]


def plot_recordings(axis: Axis, timeline: Timeline, rule: WindowRule, indices: Sequence[int]):
    """Return a figure of recordings, one below the other.

    In each, the upper bars are the annotated events, the bars below them the events of the timeline, and the curves its
    probabilities. Grey is time without annotation, which counts for nothing.

    Arguments
    ---------
    axis : Axis
    timeline : Timeline
        Of the axis, as ``rule`` gives it.
    rule : WindowRule
        With the thresholds of the findings.
    indices : list of int
        Of the recordings, at least one.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    shown = [name for name in axis.findings if name != "abnormal"] or list(axis.findings)
    figure = Figure(figsize=(11, 0.6 + 2.1 * len(indices)), layout="constrained")
    rows = figure.subplots(len(indices), 1, squeeze=False)[:, 0]
    for axes, index in zip(rows, indices, strict=True):
        _draw_recording(axes, axis, timeline, rule, shown, index)
    rows[-1].set_xlabel("time (s)")
    handles, names = rows[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=len(names), frameon=False, fontsize=8)
    figure.suptitle(
        f"windows of {rule.window:g} s every {rule.hop:g} s, merging: {rule.merging}", fontsize=10, x=0.01, ha="left"
    )
    return figure


def _draw_recording(axes, axis, timeline, rule, shown, index):
    recording, offset = axis.recordings[index], axis.offsets[index]
    length = axis.answers[index].samples / axis.sample_rate
    here = (timeline.ends > offset) & (timeline.starts < offset + length)
    starts, ends = timeline.starts[here] - offset, timeline.ends[here] - offset
    axes.axvspan(0, length, color=UNKNOWN, lw=0, zorder=0, label="not annotated")
    for start, end in zip(recording.starts, recording.ends, strict=True):
        axes.axvspan(start, end, color="white", lw=0, zorder=0.5)
        axes.axvline(start, color="0.8", lw=0.6, zorder=0.6)
    ticks = []
    for row, name in enumerate(shown):
        colour, style = STYLES[name]
        scores = timeline.scores[name][here]
        times = np.stack([starts, ends], axis=1).ravel()
        breaks = np.flatnonzero(starts[1:] - ends[:-1] > 1e-6)
        values = np.repeat(scores, 2)
        positions = 2 * (breaks + 1)
        axes.plot(
            np.insert(times, positions, np.nan), np.insert(values, positions, np.nan), color=colour, ls=style, lw=1.6,
            label=f"P({name})",
        )  # fmt: skip
        has = axis.findings[name][recording.targets]
        level = 1.62 - 0.32 * row
        ticks.append((level, f"{name}: annotated,\npredicted"))
        spans = zip(recording.starts[has], recording.ends[has], strict=True)
        axes.broken_barh([(start, end - start) for start, end in spans], (level, 0.1), color=colour)
        if name in rule.thresholds:
            axes.axhline(rule.thresholds[name], color=colour, ls=":", lw=1.0, label=f"threshold of {name}")
            runs = find_runs(starts, ends, scores, rule.thresholds[name], rule.min_duration)
            bars = zip(runs.starts, runs.ends, strict=True)
            axes.broken_barh([(start, end - start) for start, end in bars], (level - 0.13, 0.1), facecolor="none",
                             edgecolor=colour, hatch="/////", lw=0.8)  # fmt: skip
    axes.set_yticks([0, 0.5, 1, *(level for level, _ in ticks)], ["0", "0.5", "1", *(text for _, text in ticks)])
    axes.tick_params(axis="y", labelsize=7)
    axes.set_ylim(0, 1.78)
    axes.set_xlim(0, length)
    axes.set_title(figure_text(f"{recording.data_set}: {PurePath(recording.wav).name}"), fontsize=8, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
