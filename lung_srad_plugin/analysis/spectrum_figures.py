"""Figures of spectra: blocks of a stage together, each block before and after smoothing, and figures over depth.

Colours of depth are viridis, others Okabe and Ito's: all can be told apart by colour-blind people, and in grey by their
line styles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING

import numpy as np

from lung_srad_plugin.analysis.spectra import AXES
from lung_srad_plugin.analysis.spectrum_tables import ModelSpectra, mean_and_spread, scaled
from lung_srad_plugin.utils.text import figure_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEFORE, AFTER, GREY = "#0072B2", "#D55E00", "0.6"
STYLES = (("#0072B2", "-", "o"), ("#D55E00", "--", "s"))
LABELS = {
    "positions": "along the flattened positions\n(cycles per position)",
    "frequency": "along the frequency axis\n(cycles per mel band)",
    "time": "along the time axis\n(Hz)",
}
COLUMNS = 5
STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.labelsize": 8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the style of a paper: small type, no box; nothing outside is changed."""

    @wraps(draw)
    def in_style(*arguments):
        from matplotlib import rc_context

        with rc_context(STYLE):
            return draw(*arguments)

    return in_style


@styled
def plot_stages(models: Sequence[ModelSpectra]) -> Figure:
    """Return a sheet with a row for each model and stage and a column for each axis, a line for each block."""
    from matplotlib import colormaps

    rows = [(model, stage) for model in models for stage in sorted({one.stage for one in model.blocks})]
    figure = _figure(7.2, 0.9 + 1.55 * len(rows))
    panels = figure.subplots(len(rows), 3, sharey=True, squeeze=False)
    for (model, stage), line in zip(rows, panels, strict=True):
        blocks = [one for one in model.blocks if one.stage == stage]
        colours = colormaps["viridis"](np.linspace(0, 0.9, len(blocks)))
        for axis, axes in zip(AXES, line, strict=True):
            for block, colour in zip(blocks, colours, strict=True):
                _, physical, _ = model.units(block.size, axis)
                mean, _ = mean_and_spread(scaled(block.before.response[axis]))
                axes.plot(physical, mean, color=colour, lw=1, label=f"block {block.block}")
            axes.locator_params(axis="x", nbins=4)
        height, width = blocks[0].size
        line[0].set_ylabel(f"{_title(model, models)}stage {stage}, {height} x {width}\nresponse, scaled")
        handles, labels = line[0].get_legend_handles_labels()
        shown = sorted({0, len(handles) // 2, len(handles) - 1})
        line[2].legend([handles[one] for one in shown], [labels[one] for one in shown])
    for axis, axes in zip(AXES, panels[-1], strict=True):
        axes.set_xlabel(LABELS[axis])
    return figure


@styled
def plot_blocks(models: Sequence[ModelSpectra], axis: str = "positions") -> Figure:
    """Return a panel for each block: its response before and after smoothing, the mean and spread over cycles."""
    shown = [(model, block) for model in models for block in model.blocks]
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = _figure(max(3.4, 1.5 * columns), 1.1 + 1.3 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, (model, block) in zip(panels, shown, strict=False):
        _, physical, _ = model.units(block.size, axis)
        before, after = block.before.response[axis], block.after.response[axis]
        largest = before.max(axis=1, keepdims=True)
        _with_spread(axes, physical, before / largest, BEFORE, "-", "scan or attention")
        _with_spread(
            axes,
            physical,
            after / largest,
            AFTER,
            "--",
            "and the model's smoothing" if block.smoothed else "and smoothing, if it were applied",
        )
        axes.set_title(f"{_title(model, models)}block {block.name}", pad=2)
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="x", nbins=4)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles))
    figure.supxlabel(LABELS[axis].replace("\n", " "))
    figure.supylabel("response / its largest before smoothing")
    return figure


@styled
def plot_depth(models: Sequence[ModelSpectra], cutoff: float) -> Figure:
    """Return retention along both axes and the energy of features above the cutoff, over the depth of the models."""
    figure = _figure(7.2, 4.6)
    panels = figure.subplots(2, 2, sharex=True)
    titles = (("frequency axis", 1, 0), ("time axis", 2, 1))
    for column, (title, retention, energy) in enumerate(titles):
        for model, (colour, style, marker) in zip(models, STYLES, strict=False):
            depth = np.arange(len(model.blocks))
            for row, values in (
                (0, [one.before.retention[:, retention] for one in model.blocks]),
                (1, [one.energy[:, energy] for one in model.blocks]),
            ):
                mean, spread = np.array([mean_and_spread(value) for value in values]).T
                panels[row, column].errorbar(
                    depth,
                    mean,
                    np.nan_to_num(spread),
                    color=colour,
                    ls=style,
                    marker=marker,
                    ms=3,
                    lw=1,
                    elinewidth=0.8,
                    label=figure_text(model.name),
                )
            smoothed = [index for index, one in enumerate(model.blocks) if one.smoothed]
            values = [model.blocks[index].after.retention[:, retention].mean() for index in smoothed]
            panels[0, column].plot(
                smoothed, values, "x", color=colour, ms=5, label="with the model's smoothing", zorder=3
            )
        panels[0, column].set_title(title)
        panels[0, column].axhline(1, color=GREY, lw=0.8, ls=":")
        panels[1, column].set_xlabel("block, counted through the encoder")
        panels[1, column].xaxis.get_major_locator().set_params(integer=True)
    panels[0, 0].set_ylabel("frequency retention of\nscan or attention")
    panels[1, 0].set_ylabel(f"block's output: share of energy\nabove {cutoff:g} cycles per position")
    if len(models) == 1:
        blocks = models[0].blocks
        bounds = [index - 0.5 for index in range(1, len(blocks)) if blocks[index].stage != blocks[index - 1].stage]
        panels[1, 0].set_xticks(range(len(blocks)), [one.name for one in blocks], rotation=90 * (len(blocks) > 10))
        panels[1, 0].set_xlabel("block, STAGE.BLOCK")
        panels[1, 1].set_xlabel("block, STAGE.BLOCK")
        for axes in panels.ravel():
            for bound in bounds:
                axes.axvline(bound, color=GREY, lw=0.5, zorder=0)
    for axes in panels.ravel():
        axes.set_ylim(bottom=0)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    named = {label: handle for handle, label in zip(handles, labels, strict=True) if label[0] != "w" or _any(models)}
    figure.legend(named.values(), named.keys(), loc="outside upper center", ncols=len(named))
    return figure


@styled
def plot_whole_blocks(models: Sequence[ModelSpectra]) -> Figure:
    """Return the measured response of whole blocks: gains and kept shares along each axis, a line for each block."""
    from matplotlib import colormaps

    rows = [(model, stage) for model in models for stage in sorted({one.stage for one in model.blocks})]
    figure = _figure(7.2, 0.9 + 1.55 * len(rows))
    panels = figure.subplots(len(rows), 4, squeeze=False)
    kinds = [("gain", "frequency"), ("gain", "time"), ("kept", "frequency"), ("kept", "time")]
    for (model, stage), line in zip(rows, panels, strict=True):
        blocks = [one for one in model.blocks if one.stage == stage]
        colours = colormaps["viridis"](np.linspace(0, 0.9, len(blocks)))
        for axes, (kind, axis) in zip(line, kinds, strict=True):
            for block, colour in zip(blocks, colours, strict=True):
                _, physical, _ = model.units(block.size, axis)
                mean, _ = mean_and_spread(getattr(block.whole, kind)[axis])
                axes.plot(physical, mean, color=colour, lw=1, label=f"block {block.block}")
            axes.set_ylim(bottom=0, top=1.05 if kind == "kept" else None)
            axes.locator_params(axis="x", nbins=4)
        line[0].set_ylabel(f"{_title(model, models)}stage {stage}\nwhole block")
        handles, labels = line[0].get_legend_handles_labels()
        shown = sorted({0, len(handles) // 2, len(handles) - 1})
        line[3].legend([handles[one] for one in shown], [labels[one] for one in shown])
    for axes, (kind, _) in zip(panels[0], kinds, strict=True):
        axes.set_title("gain" if kind == "gain" else "share kept at\nthe wave's frequency")
    for axes, (_, axis) in zip(panels[-1], kinds, strict=True):
        axes.set_xlabel("cycles per mel band" if axis == "frequency" else "Hz along time")
    return figure


def _figure(width, height):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _any(models):
    return any(one.smoothed for model in models for one in model.blocks)


def _title(model, models):
    if len(models) == 1:
        return ""
    return f"{figure_text(model.name)}\n"


def _with_spread(axes, x, values, colour, style, label):
    mean, spread = mean_and_spread(values)
    axes.plot(x, mean, color=colour, ls=style, lw=1, label=label)
    axes.fill_between(x, mean - np.nan_to_num(spread), mean + np.nan_to_num(spread), color=colour, alpha=0.2, lw=0)
