"""Saving figures, and pictures of a training run."""

from pathlib import Path

import numpy as np

from lung_srad_plugin.utils.files import write_safely
from lung_srad_plugin.utils.text import figure_text

# Okabe and Ito's palette (2008): colours that colour-blind people tell apart.
COLOURS = {"normal": "#009E73", "crackle": "#D55E00", "wheeze": "#0072B2", "both": "#CC79A7"}


def save_figure(figure, path):
    """Write a figure as PNG to ``path``, by the rule of ``utils.files``; its folder is made where it is missing."""
    with write_safely(path) as beside:
        figure.savefig(beside, format="png", dpi=150, bbox_inches="tight")


FORMATS = ("png", "pdf", "svg")
"""In which a figure for a paper is saved."""

# Text stays text, so that a journal can change its font; nothing in a file depends on when it was written.
_VECTOR = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "lung-srad"}
_NO_DATE = {"png": None, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


def save_figures(figure, stem):
    """Write a figure as PNG, PDF and SVG to ``stem`` with these endings, by the rule of ``utils.files``."""
    from matplotlib import rc_context

    stem = Path(stem)
    for ending in FORMATS:
        with write_safely(stem.with_name(f"{stem.name}.{ending}")) as beside, rc_context(_VECTOR):
            figure.savefig(beside, format=ending, dpi=200, bbox_inches="tight", metadata=_NO_DATE[ending])


def plot_confusion(confusion, labels, title):
    """Return a figure of a confusion matrix: rows are the true classes, cells the counts and shares of their row.

    Arguments
    ---------
    confusion : array (C, C)
        Counts; row the true class, column the predicted one.
    labels : list of str
        The C class names.
    title : str
        What the counts are of.
    """
    from matplotlib.figure import Figure

    confusion = np.asarray(confusion)
    labels = [figure_text(label) for label in labels]
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(1.2 * len(labels) + 1.6, 1.0 * len(labels) + 1.4))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels)
    axes.set_yticks(
        ticks, [f"{label}\n(n={count})" for label, count in zip(labels, confusion.sum(axis=1), strict=True)]
    )
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=10)
    for row in ticks:
        for column in ticks:
            axes.text(
                column,
                row,
                f"{confusion[row, column]}\n{100 * shares[row, column]:.0f} %",
                ha="center",
                va="center",
                fontsize=9,
                color="white" if shares[row, column] > 0.55 else "black",
            )
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046)
    return figure


def plot_history(history, selected_epoch):
    """Return a figure of a run's losses and scores by epoch, with the selected epoch marked.

    Arguments
    ---------
    history : list of dict
        ``TrainingState.history``.
    selected_epoch : int
        The epoch that validation selected.
    """
    from matplotlib.figure import Figure

    epochs = [entry["epoch"] for entry in history]
    figure = Figure(figsize=(10, 3.6))
    left, right = figure.subplots(1, 2)
    for name in [key for key in history[0]["train"] if key == "cross_entropy" or key.startswith("contrastive")]:
        left.plot(epochs, [entry["train"][name] for entry in history], label=f"train, {name.replace('_', ' ')}")
    left.plot(epochs, [entry["valid"]["cross_entropy"] for entry in history], label="valid, cross entropy", ls="--")
    left.set_ylabel("loss")
    for stage, style in (("train", "-"), ("valid", "--"), ("test", ":")):
        if stage in history[0]:
            right.plot(epochs, [entry[stage]["score"] for entry in history], style, label=f"{stage} Score")
    right.set_ylabel("ICBHI Score in percent")
    for axes in (left, right):
        axes.axvline(selected_epoch, color="0.7", lw=1, zorder=0)
        axes.set_xlabel("epoch (grey line: selected by validation)")
        axes.legend(fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure
