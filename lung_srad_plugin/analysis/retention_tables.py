"""Frequency retention and scores of checkpoints: their correlations, as CSV and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lung_srad_plugin.analysis.checkpoints import KINDS, MEAN, CheckpointFigures
from lung_srad_plugin.analysis.correlation import correlate
from lung_srad_plugin.analysis.spectrum_figures import AFTER, BEFORE, GREY, styled
from lung_srad_plugin.analysis.spectrum_tables import to_csv
from lung_srad_plugin.metrics.bootstrap import Bootstrap, Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Correlation:
    """The correlation of a block's retention with a score, over checkpoints.

    Arguments
    ---------
    block : str
        ``STAGE.BLOCK``, or ``"mean"`` over blocks.
    kind : str
        Of retention: over both axes, along frequency, along time.
    score : str
        Such as ``recall_crackle``.
    runs : int
        How many runs have both.
    pearson, spearman : Interval
    """

    block: str
    kind: str
    score: str
    runs: int
    pearson: Interval
    spearman: Interval


def retention_correlations(
    figures: Sequence[CheckpointFigures], bootstrap: Bootstrap | None = None
) -> list[Correlation]:
    """Correlate the retention of each block that all checkpoints have, and of their mean, with each score."""
    common = [key for key in figures[0].retention if all(key in one.retention for one in figures)]
    scores = [name for name in figures[0].scores if all(name in one.scores for one in figures)]
    runs = [one.run for one in figures]
    found = []
    for block, kind in common:
        x = np.array([one.retention[block, kind] for one in figures])
        for name in scores:
            y = np.array([one.scores[name] for one in figures])
            defined = {run for run, a, b in zip(runs, x, y, strict=True) if not np.isnan(a + b)}
            found.append(Correlation(block, kind, name, len(defined), **correlate(x, y, runs, bootstrap)))
    return found


def correlations_csv(correlations: Sequence[Correlation]) -> str:
    """Return one line for each block, kind of retention and score."""
    header = ["block", "retention", "score", "runs"]
    header += [f"{name}_{part}" for name in ("pearson", "spearman") for part in ("value", "low", "high")]
    return to_csv(
        header,
        [
            [one.block, one.kind, one.score, one.runs]
            + [getattr(which, part) for which in (one.pearson, one.spearman) for part in ("value", "low", "high")]
            for one in correlations
        ],
    )


def checkpoints_csv(figures: Sequence[CheckpointFigures]) -> str:
    """Return one line for each checkpoint: its scores, and the retention of its blocks, blank where it has none."""
    scores = list(dict.fromkeys(name for one in figures for name in one.scores))
    blocks = list(dict.fromkeys(key for one in figures for key in one.retention))
    header = ["run", "rule", *scores, *(f"retention_{kind}_{block}" for block, kind in blocks)]
    return to_csv(
        header,
        [
            [one.run, one.rule]
            + [one.scores.get(name, np.nan) for name in scores]
            + [one.retention.get(key, np.nan) for key in blocks]
            for one in figures
        ],
    )


def title_of(score: str) -> str:
    """Return a score's name for axes.

    Example
    -------
    >>> title_of("recall_crackle"), title_of("auroc_abnormal"), title_of("score_strict_class")
    ('recall of crackle, %', 'AUROC of abnormal', 'Score, strict class, %')
    """
    kind, _, of = score.partition("_")
    of = of.replace("_", " ")
    return {"recall": f"recall of {of}, %", "auroc": f"AUROC of {of}", "score": f"Score, {of}, %"}[kind]


@styled
def plot_correlations(correlations: Sequence[Correlation]) -> Figure:
    """Return a panel for each kind of retention: Spearman's coefficient of each block and score, with its interval."""
    from matplotlib.figure import Figure

    scores = list(dict.fromkeys(one.score for one in correlations))
    blocks = list(dict.fromkeys(one.block for one in correlations))
    figure = Figure(figsize=(1.6 + 0.21 * len(scores) * len(KINDS), 1.9 + 0.2 * len(blocks)), layout="constrained")
    panels = figure.subplots(1, len(KINDS), sharey=True)
    for axes, kind in zip(panels, KINDS, strict=True):
        values = np.full((len(blocks), len(scores)), np.nan)
        for one in correlations:
            if one.kind != kind:
                continue
            row, column = blocks.index(one.block), scores.index(one.score)
            values[row, column] = one.spearman.value
            if one.spearman.low > 0 or one.spearman.high < 0:
                axes.plot(column, row, "o", color="black", ms=3)
        # Blue to orange, from Okabe and Ito's palette; grey where it is undefined.
        image = axes.imshow(values, cmap=_diverging(), vmin=-1, vmax=1, aspect="auto")
        axes.set_xticks(range(len(scores)), [title_of(name) for name in scores], rotation=90)
        axes.set_yticks(range(len(blocks)), blocks)
        axes.set_title({"both": "both axes", "frequency": "frequency axis", "time": "time axis"}[kind])
        axes.spines[:].set_visible(False)
    panels[0].set_ylabel("block")
    figure.colorbar(image, ax=panels, label="Spearman's correlation\n(dot: interval without 0;\ngrey: undefined)")
    return figure


@styled
def plot_checkpoints(figures: Sequence[CheckpointFigures]) -> Figure:
    """Return a panel for each score over the mean retention of all blocks, a dot for each checkpoint."""
    from matplotlib.figure import Figure

    scores = list(figures[0].scores)
    rules = {one.rule for one in figures}
    columns = 4
    rows = -(-len(scores) // columns)
    figure = Figure(figsize=(7.2, 0.5 + 1.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    markers = dict(zip(dict.fromkeys(one.run.split("/")[0] for one in figures), "os^Dv<>PX*hp", strict=False))
    for axes, name in zip(panels, scores, strict=False):
        for one in figures:
            row = one.run.split("/")[0]
            axes.plot(
                one.retention[MEAN, "both"],
                one.scores.get(name, np.nan),
                markers.get(row, "."),
                color=BEFORE if one.rule == figures[0].rule else AFTER,
                mew=0,
                ms=4,
                label=row if len(rules) == 1 else f"{row}, {one.rule}",
            )
        axes.set_ylabel(title_of(name))
        axes.locator_params(nbins=4)
        axes.grid(color=GREY, lw=0.3)
    for axes in panels[len(scores) :]:
        axes.set_visible(False)
    figure.supxlabel("frequency retention, mean over blocks")
    handles = dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=min(4, len(handles)))
    return figure


def _diverging():
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blue_orange", [BEFORE, "white", AFTER]).with_extremes(bad="0.85")
