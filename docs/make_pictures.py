"""Draw the pictures of the documentation, from synthetic sounds and the package's own functions.

    python docs/make_pictures.py [FOLDER]

By default into docs/pictures. The pictures are part of the repository; draw them again when what they show changes.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from lung_srad_plugin import (
    CycleFeatures,
    DASSEncoder,
    FeatureNormalization,
    apply_patch_mix,
    draw_patch_mix,
    gaussian_smooth,
    load_recording,
    scan_mixing,
    synthesize_icbhi,
)
from lung_srad_plugin.encoders.dass.ss2d import SS2D
from lung_srad_plugin.scan.reference import traversals

FOLDER = Path(__file__).parent / "pictures"
STEPS = (
    ("recording", "any length,\nrate, channels"),
    ("cycle", "16 kHz, 8 s,\nfaded, repeated"),
    ("log-mel\nfeatures", "1024 frames,\n128 bins"),
    ("embedding\nmap", "96 channels,\n32 x 256"),
    ("encoder", "four stages,\n768 numbers"),
    ("classifier", "four\nprobabilities"),
)
VIEWS = "training only: copies of the map,\nmixed along time and along frequency"


def draw_data_flow() -> Figure:
    """Return a drawing of what happens to a recording, with the sizes of DASS-medium."""
    figure = Figure(figsize=(11, 3.2))
    axes = figure.subplots()
    for index, (name, size) in enumerate(STEPS):
        axes.add_patch(FancyBboxPatch((2 * index, 0), 1.4, 1, boxstyle="round,pad=0.05", fc="#dceaf4", ec="#0072B2"))
        axes.text(2 * index + 0.7, 0.5, name, ha="center", va="center", fontsize=11)
        axes.text(2 * index + 0.7, -0.2, size, ha="center", va="top", fontsize=9)
        if index:
            axes.add_patch(
                FancyArrowPatch((2 * index - 0.5, 0.5), (2 * index - 0.1, 0.5), arrowstyle="-|>", mutation_scale=14)
            )
    axes.add_patch(FancyBboxPatch((6.9, 1.75), 4.6, 0.6, boxstyle="round,pad=0.05", fc="#fbe3d3", ec="#D55E00"))
    axes.text(9.2, 2.05, VIEWS, ha="center", va="center", fontsize=9)
    axes.add_patch(FancyArrowPatch((6.7, 1.1), (7.1, 1.7), arrowstyle="-|>", mutation_scale=12, color="#D55E00"))
    axes.add_patch(FancyArrowPatch((8.7, 1.7), (8.7, 1.1), arrowstyle="-|>", mutation_scale=12, color="#D55E00"))
    axes.text(9.2, 2.5, "contrastive loss beside the cross-entropy", ha="center", fontsize=9)
    axes.set_xlim(-0.2, 11.7)
    axes.set_ylim(-0.9, 2.8)
    axes.set_axis_off()
    return figure


def draw_features(features: torch.Tensor, seconds: float, name: str) -> Figure:
    """Return a picture of normalised log-mel features (T,F) of a cycle."""
    figure = Figure(figsize=(8, 2.8))
    axes = figure.subplots()
    image = axes.imshow(features.T, origin="lower", aspect="auto", extent=(0, seconds, 0, features.shape[1]))
    axes.set_xlabel("time in seconds")
    axes.set_ylabel("mel bin")
    axes.set_title(name, fontsize=10)
    figure.colorbar(image, ax=axes, label="normalised log-mel value")
    return figure


def draw_traversals() -> Figure:
    """Return a picture of the four orders in which the scan visits a map of 4 by 6 positions."""
    height, width = 4, 6
    orders = traversals(height, width)
    figure = Figure(figsize=(11, 2.6))
    names = ("row by row", "column by column", "row by row, backwards", "column by column, backwards")
    for axes, name, order in zip(figure.subplots(1, 4), names, orders, strict=True):
        steps = np.empty(height * width, dtype=int)
        steps[np.asarray(order)] = np.arange(height * width)
        axes.imshow(steps.reshape(height, width), cmap="cividis")
        for row, column in np.ndindex(height, width):
            step = steps[row * width + column]
            axes.text(column, row, step + 1, ha="center", va="center", color="white" if step < 14 else "black")
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("time")
        axes.set_ylabel("frequency")
        axes.set_xticks([])
        axes.set_yticks([])
    figure.tight_layout()
    return figure


def draw_mixing() -> Figure:
    """Return pictures of the mixing matrix of one traversal, of all four, and of one position's row as a map."""
    height, width = 6, 10
    torch.manual_seed(0)
    layer, u = SS2D(16), torch.randn(1, height, width, 16)
    torch.nn.init.zeros_(layer.Ds)  # what a position passes on to itself unmixed would outshine the rest
    one = scan_mixing(layer, u, channels=[0], traversal=0)[0, 0]
    merged = scan_mixing(layer, u, channels=[0])[0, 0]
    position = 2 * width + 4
    figure = Figure(figsize=(11, 3.4))
    left, middle, right = figure.subplots(1, 3)
    titles = ("one traversal: only what came before", "four traversals: every position", "the framed position's row")
    for axes, values, title in zip(
        (left, middle, right), (one, merged, merged[position].view(height, width)), titles, strict=True
    ):
        image = axes.imshow(values.abs().sqrt(), cmap="cividis")
        axes.set_title(title, fontsize=10)
        figure.colorbar(image, ax=axes, fraction=0.046, label="square root of |weight|")
    for axes in (left, middle):
        axes.set_xlabel("from position")
        axes.set_ylabel("to position")
    right.set_xlabel("time")
    right.set_ylabel("frequency")
    right.add_patch(FancyBboxPatch((3.5, 1.5), 1, 1, boxstyle="square,pad=0", fc="none", ec="#D55E00", lw=2))
    figure.tight_layout()
    return figure


def draw_smoothing(features: torch.Tensor) -> Figure:
    """Return a map before and after smoothing, with zeros and with the nearest value beyond its border."""
    torch.manual_seed(0)
    encoder = DASSEncoder([1, 1], [16, 32]).eval()
    with torch.no_grad():
        map = encoder.embed(features[None])[:, :1, :, :96]
    panels = {
        "before": map,
        "smoothed, zeros beyond the border": gaussian_smooth(map),
        "smoothed, border continued": gaussian_smooth(map, padding="replicate"),
    }
    figure = Figure(figsize=(11, 2.8))
    bounds = {"vmin": float(map.min()), "vmax": float(map.max())}
    all_axes = figure.subplots(1, 3, sharey=True)
    for axes, (title, values) in zip(all_axes, panels.items(), strict=True):
        image = axes.imshow(values[0, 0], origin="lower", aspect="auto", cmap="cividis", **bounds)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("time position")
    all_axes[0].set_ylabel("frequency position")
    figure.colorbar(image, ax=all_axes, label="activation")
    return figure


def draw_patch_mixes(first: torch.Tensor, second: torch.Tensor) -> Figure:
    """Return two maps and their mixtures along each axis; features stand in for the embedding map."""
    maps = torch.stack([first.T, second.T])[:, None]
    figure = Figure(figsize=(11, 4.6))
    panels = {"first cycle": maps[0, 0], "second cycle": maps[1, 0]}
    for axis, seed in (("time", 5), ("frequency", 4), ("patch", 2)):
        for attempt in range(100):
            plan = draw_patch_mix(
                2, tuple(maps.shape[2:]), axis, generator=torch.Generator().manual_seed(100 * seed + attempt)
            )
            if plan.index.tolist() == [1, 0] and 0.55 < plan.lam < 0.75:
                break
        panels[f"{axis}: {100 * plan.lam:.0f} % of the first kept"] = apply_patch_mix(maps, plan)[0, 0]
    all_axes = figure.subplots(2, 3).flat
    bounds = {"vmin": float(maps.min()), "vmax": float(maps.max())}
    for axes, (title, values) in zip(all_axes, panels.items(), strict=False):
        axes.imshow(values, origin="lower", aspect="auto", **bounds)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("time")
        axes.set_ylabel("frequency")
        axes.set_xticks([])
        axes.set_yticks([])
    for axes in list(figure.axes)[len(panels) :]:
        axes.set_axis_off()
    figure.tight_layout()
    return figure


def draw_all(folder: Path) -> list[Path]:
    """Draw all pictures and return their files."""
    compute = CycleFeatures()
    normalize = FeatureNormalization("audioset")
    with tempfile.TemporaryDirectory() as temporary:
        synthesize_icbhi(temporary, patients=8, recordings=1, progress=False)
        wavs = sorted(Path(temporary).rglob("*.wav"))
        features = []
        for wav in wavs[1:3]:
            recording = compute.prepare(load_recording(wav, compute.sample_rate), name=wav)
            cycle = compute.cut(recording, 0.0, 4.0, name=wav)
            features.append(normalize(compute.fbank(cycle[None]))[0])
    figures = {
        "data_flow": draw_data_flow(),
        "features": draw_features(features[0], compute.duration, "a synthetic cycle of 4 s, repeated to 8 s"),
        "traversals": draw_traversals(),
        "mixing": draw_mixing(),
        "smoothing": draw_smoothing(features[0]),
        "patch_mix": draw_patch_mixes(*features),
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=100, bbox_inches="tight")
    return [folder / f"{name}.png" for name in figures]


if __name__ == "__main__":
    for file in draw_all(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(file)
