"""Maps of a decision drawn over a spectrogram: orange adds to the log-odds, blue takes away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOR, AGAINST = "#D55E00", "#0072B2"  # of Okabe and Ito's palette
GREY_RANGE = (1.0, 0.6)  # of the spectrogram below a map, from quiet to loud
STRONGEST = 99.5  # percentile of the absolute values that gets the full colour


@dataclass(frozen=True)
class RecordingMap:
    """A map over a whole recording.

    Arguments
    ---------
    values : numpy.ndarray
        (rows, columns), from low frequencies up, what each cell adds to the log-odds of ``target``, in the mean over
        the windows or cycles it lies in; NaN where there is none.
    duration : float
        Seconds of the recording that the columns divide.
    bottom, top : float
        Edges of the rows on the mel scale.
    target : str
        What is explained.
    title : str
        Of the method.
    """

    values: np.ndarray
    duration: float
    bottom: float
    top: float
    target: str
    title: str


def plot_maps(
    spectrogram: np.ndarray,
    maps: Mapping[str, np.ndarray],
    extent: tuple[float, float, float, float],
    ticks: tuple[Sequence[float], Sequence[str]],
    joins: Sequence[float] = (),
) -> "Figure":
    """Return a figure of a spectrogram with maps of a decision below it, each over the same spectrogram in grey.

    Arguments
    ---------
    spectrogram : array
        (T,F) log-mel energies.
    maps : dict
        Title to values in cells, (rows, columns), from low frequencies up: what each cell adds to the log-odds.
    extent : (float, float, float, float)
        Seconds of the left and the right edge, mel scale of the lower and the upper.
    ticks : (list of float, list of str)
        Positions on the mel scale and their names in Hz.
    joins : sequence of float
        Seconds at which a sound that was repeated begins again.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 1.35 + 1.45 * len(maps)), layout="constrained")
    panels = figure.subplots(1 + len(maps), 1, sharex=True, sharey=True)
    panels = np.atleast_1d(panels)
    shown = {"origin": "lower", "aspect": "auto", "extent": extent}
    sound = panels[0].imshow(spectrogram.T, cmap="magma", interpolation="nearest", **shown)
    _bar_beside(panels[0], sound, "ln energy")
    panels[0].set_title("log-mel energies, the model's input", fontsize=9, loc="left")
    background = grey(spectrogram, np.percentile(spectrogram, (5, 99.7))).T
    for panel, (title, values) in zip(panels[1:], maps.items(), strict=True):
        limit = colour_limit(values)
        panel.imshow(background, cmap="gray", vmin=0, vmax=1, interpolation="nearest", **shown)
        panel.imshow(overlay(values, limit), interpolation="nearest", **shown)
        colour_bar(panel, limit)
        panel.set_title(title, fontsize=9, loc="left")
    for panel in panels:
        panel.set_yticks(*ticks)
        panel.set_ylabel("Hz", fontsize=8)
        panel.tick_params(labelsize=8)
        for second in joins:
            panel.axvline(second, color="0.35", lw=0.9, ls=(0, (4, 2)))
    panels[-1].set_xlabel("time in the clip (s)" + ("; dashed: the sound is repeated" if joins else ""), fontsize=8)
    # The layout is computed once, and not again for each format the figure is saved in.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def plot_removal(shares: Sequence[float], falls: Mapping[str, Sequence[float]], cycles: int) -> "Figure":
    """Return a figure of how far the log-odds fall by the share of cells that is removed.

    Arguments
    ---------
    shares : sequence of float
    falls : dict
        What decides which cells are removed first, to the mean fall for each share; ``"random cells"`` is drawn grey.
    cycles : int
        How many cycles the means are over.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 2.9), layout="constrained")
    axes = figure.subplots()
    styles = iter((("#D55E00", "-", "o"), ("#0072B2", "--", "s"), ("#009E73", "-.", "^")))
    for name, values in falls.items():
        colour, line, marker = ("0.5", ":", "x") if name == "random cells" else next(styles)
        percent = [0, *(100 * share for share in shares)]
        axes.plot(percent, [0, *values], color=colour, ls=line, marker=marker, ms=5, label=name)
    axes.set_xlabel("cells set to the clip's mean level (%)", fontsize=9)
    axes.set_ylabel(f"fall of the log-odds,\nmean of {cycles} cycles", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, title="removed first: highest by", title_fontsize=8)
    return figure


def webp(figure: "Figure") -> bytes:
    """Return a figure as the content of a WebP file, which is far smaller than PNG where it is to lie in a page."""
    content = BytesIO()
    figure.savefig(content, format="webp", dpi=160, pil_kwargs={"quality": 85})
    return content.getvalue()


def colour_limit(values: np.ndarray) -> float:
    """Return the absolute value that gets the full colour; above 0.

    Example
    -------
    >>> float(colour_limit(np.array([[0.0, -2.0]])))
    1.99
    """
    finite = np.abs(values[np.isfinite(values)])
    return max(np.percentile(finite, STRONGEST), 1e-12) if finite.size else 1e-12


def overlay(values: np.ndarray, limit: float) -> np.ndarray:
    """Return values as colours with opacity, (..., 4): the stronger, the less transparent; NaN is transparent.

    Example
    -------
    >>> overlay(np.array([0.0, 1.0, np.nan]), limit=1.0)[:, 3]
    array([0.  , 0.85, 0.  ])
    """
    from matplotlib.colors import to_rgb

    colours = np.where(np.nan_to_num(values)[..., None] >= 0, to_rgb(FOR), to_rgb(AGAINST))
    strength = np.clip(np.abs(np.nan_to_num(values)) / limit, 0, 1)
    return np.concatenate([colours, 0.85 * strength[..., None]], axis=-1)


def grey(spectrogram: np.ndarray, limits: Sequence[float]) -> np.ndarray:
    """Return a spectrogram as light greys, the louder the darker, on which colours are seen.

    Example
    -------
    >>> grey(np.array([0.0, 1.0, 2.0, 3.0]), limits=(1.0, 2.0))
    array([1. , 1. , 0.6, 0.6])
    """
    low, high = limits
    quiet, loud = GREY_RANGE
    return quiet + (loud - quiet) * np.clip((spectrogram - low) / max(high - low, 1e-9), 0, 1)


def colour_bar(axes: Any, limit: float) -> None:
    """Add the bar of a map's colours, as they are on white, to the axes of a figure."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    colours = LinearSegmentedColormap.from_list("against_for", [AGAINST, "#ffffff", FOR])
    scale = ScalarMappable(Normalize(-limit, limit), colours)
    _bar_beside(axes, scale, "log-odds per cell")


def _bar_beside(axes, scale, label):
    bar = axes.figure.colorbar(scale, cax=axes.inset_axes((1.015, 0, 0.02, 1)))
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=8)
