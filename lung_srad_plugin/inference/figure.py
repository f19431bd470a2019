"""The picture of a classified recording: the sound, and the model's probabilities over time."""

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.audio.fbank import kaldi_fbank
from lung_srad_plugin.audio.feature_axes import mel_scale
from lung_srad_plugin.audio.stream import RecordingStream
from lung_srad_plugin.reporting.figures import COLOURS
from lung_srad_plugin.reporting.map_figure import RecordingMap, colour_bar, colour_limit, grey, overlay
from lung_srad_plugin.utils.text import figure_text

RATE = 16000
COLUMNS = 1600  # about one for each pixel of the picture's width
CHUNK_SECONDS = 10
WINDOW, SHIFT = 400, 160  # samples, of the features
TICKS_HZ = (150, 300, 600, 1200, 2400)
# Below it are heart and handling, and mel filters that are narrower than the bins of the spectrum.
LOWEST_HZ, HIGHEST_HZ = 100, 4000
ABNORMAL = "#000000"
WIDTH = 11.0  # inches
NARROW = 8.0  # a legend beside the curves of a narrower figure would take too much of it
# Name in the legend, attribute of a segment, and style.
MARKS = (
    ("unlike\ntraining", "unlike_training", {"edgecolor": "0.35", "hatch": "xx"}),
    ("uncertain", "uncertain", {"edgecolor": "0.55", "hatch": ".."}),
)


def plot_timeline(
    result,
    recording,
    explanation: RecordingMap | None = None,
    annotated: Sequence[AnnotatedEvent] = (),
    width: float = WIDTH,
):
    """Return a figure of a recording: waveform, mel spectrogram, and the probabilities over time.

    Crackle and wheeze differ in colour, in line style and in their name beside the line, so that colour-blind people
    and grey printers tell them apart.

    Arguments
    ---------
    result : Classification
        Of the recording.
    recording : str, Path or AudioSource
        The recording, or what else ``audio_source`` takes; it is read again, in blocks.
    explanation : RecordingMap, optional
        Where the decisions come from; it is drawn below the spectrogram, over the same spectrogram in grey.
    annotated : sequence of AnnotatedEvent
        What experts heard, with classes as labels; it is drawn below the classes of the model, grey where nothing is
        annotated.
    width : float
        In inches. The legend of a narrow figure stands above the probabilities instead of beside them.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    stream = RecordingStream(recording, RATE)
    low, high, mels = _summarize(stream)
    heights = {"wave": 1.1, "picture": 2.2, "map": 2.2, "curves": 2.0, "strip": 0.35, "truth": 0.35}
    if explanation is None:
        del heights["map"]
    if not annotated:
        del heights["truth"]
    height = 6.4 + 2.0 * ("map" in heights) + 0.45 * ("truth" in heights)
    figure = Figure(figsize=(width, height), layout="constrained")
    rows = figure.subplots(len(heights), 1, sharex=True, gridspec_kw={"height_ratios": list(heights.values())})
    panels = dict(zip(heights, rows, strict=True))
    wave, picture, curves, strip = (panels[name] for name in ("wave", "picture", "curves", "strip"))
    summary = result.summary
    names = _curve_names(result)
    values = ", ".join(f"{name} {getattr(summary, name):.2f}" for name in names)
    figure.suptitle(figure_text(PurePath(stream.name).name), fontsize=12, fontweight="bold", x=0.01, ha="left")
    wave.set_title(f"whole recording: {figure_text(summary.label)} ({values})", fontsize=10, loc="left")
    _draw_waveform(wave, stream, low, high)
    _draw_spectrogram(picture, stream, mels)
    if explanation is not None:
        _draw_map(panels["map"], stream, mels, explanation, result.segments)
    _draw_curves(curves, result, names)
    _draw_classes(strip, result)
    _draw_reliability(curves, strip, result, narrow=width < NARROW)
    for flaw in result.flaws:
        if flaw.start is not None:
            for axes in (wave, curves):
                axes.axvspan(flaw.start, flaw.end, facecolor="0.9", edgecolor="0.6", hatch="///", lw=0, zorder=0)
    if annotated:
        _draw_annotated(panels["truth"], annotated, stream.duration)
    lowest = rows[-1]
    lowest.set_xlim(0, stream.duration)
    lowest.set_xlabel(_x_label(stream, result))
    hatched = " (hatched: there)" if any(flaw.start is not None for flaw in result.flaws) else ""
    notes = "; ".join(sorted({flaw.kind for flaw in result.flaws})) + hatched
    footer = f"{figure_text(result.model)}. Research only, not a medical device."
    if result.trained_on_synthetic:
        footer += " The model was trained on SYNTHETIC sounds."
    figure.supxlabel(f"input: {notes}.  {footer}" if notes else footer, fontsize=7, color="0.35", x=0.01, ha="left")
    return figure


def _summarize(stream):
    """Return the lowest and highest sample and the mean log-mel energies of each column of the picture."""
    frames = max(1, 1 + (stream.samples - WINDOW) // SHIFT)
    columns = min(COLUMNS, frames)
    low, high = np.zeros(columns), np.zeros(columns)
    mels, counts = np.zeros((columns, 128)), np.zeros(columns)
    chunk = CHUNK_SECONDS * RATE
    # Each span reaches as far into the next one as a window does, so that no frame is lost between them.
    spans = [(begin, min(begin + chunk + WINDOW - SHIFT, stream.samples)) for begin in range(0, stream.samples, chunk)]
    for (begin, _), samples in zip(spans, stream.cut(spans), strict=True):
        column = (begin + np.arange(len(samples))) * columns // stream.samples
        np.minimum.at(low, column, samples.numpy())
        np.maximum.at(high, column, samples.numpy())
        if len(samples) < WINDOW:
            continue
        feats = kaldi_fbank(samples[None])[0].numpy()
        column = np.minimum((begin // SHIFT + np.arange(len(feats))) * columns // frames, columns - 1)
        np.add.at(mels, column, feats)
        np.add.at(counts, column, 1)
    return low, high, mels / np.maximum(counts, 1)[:, None]


def _draw_waveform(axes, stream, low, high):
    times = (np.arange(len(low)) + 0.5) * stream.duration / len(low)
    axes.fill_between(times, low, high, color="0.25", lw=0.3, step="mid")
    limit = 1.05 * max(-low.min(), high.max(), 1e-6)
    axes.set_ylim(-limit, limit)
    axes.set_ylabel("amplitude")
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(bottom=False)


def spectrogram_pixels(stream):
    """Return the spectrogram of a recording without its axes.

    Arguments
    ---------
    stream : RecordingStream
        At ``RATE``.

    Returns
    -------
    energies : numpy.ndarray
        (bins, columns), ln energies from low frequencies up.
    bottom, top : float
        Edges on the mel scale.
    limits : (float, float)
        Energies that get the first and the last colour.
    """
    _, _, mels = _summarize(stream)
    shown, bottom, top, limits = _shown_band(stream, mels)
    return shown.T, bottom, top, limits


def _draw_spectrogram(axes, stream, mels):
    shown, bottom, top, limits = _shown_band(stream, mels)
    axes.imshow(
        shown.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=limits[0],
        vmax=limits[1],
        extent=(0, stream.duration, bottom, top),
        interpolation="nearest",
    )
    _name_frequencies(axes, bottom, top)


def _draw_map(axes, stream, mels, explanation, segments):
    shown, bottom, top, limits = _shown_band(stream, mels)
    axes.imshow(
        grey(shown, limits).T,
        origin="lower",
        aspect="auto",
        cmap="gray",
        vmin=0,
        vmax=1,
        extent=(0, stream.duration, bottom, top),
        interpolation="nearest",
    )
    seconds = (np.arange(explanation.values.shape[1]) + 0.5) * explanation.duration / explanation.values.shape[1]
    # Silent windows go through the model, but get no class.
    classified = np.any([(one.start <= seconds) & (seconds < one.end) for one in segments], axis=0)
    values = np.where(classified, explanation.values, np.nan)
    limit = colour_limit(values)
    axes.imshow(
        overlay(values, limit),
        origin="lower",
        aspect="auto",
        extent=(0, explanation.duration, explanation.bottom, explanation.top),
        interpolation="nearest",
    )
    axes.set_ylim(bottom, top)
    _name_frequencies(axes, bottom, top)
    title = f"{explanation.title}: orange adds to the log-odds of {figure_text(explanation.target)}, blue takes away"
    axes.set_title(title, fontsize=9, loc="left")
    colour_bar(axes, limit)


def _shown_band(stream, mels):
    """Return the energies (columns, bins) of the frequencies that are shown, their edges in mel, and colour limits."""
    top = mel_scale(min(stream.native_rate / 2, HIGHEST_HZ))
    bottom = mel_scale(LOWEST_HZ)
    lowest, highest = mel_scale(20), mel_scale(RATE / 2)
    first, last = (round(128 * (edge - lowest) / (highest - lowest)) for edge in (bottom, top))
    shown = mels[:, first:last]
    # Digital silence would stretch the colours over what is no sound.
    floor = np.log(np.finfo(np.float32).eps) + 0.1
    sound = shown[shown > floor]
    return shown, bottom, top, np.percentile(sound, (5, 99.7)) if sound.size else (0, 1)


def _name_frequencies(axes, bottom, top):
    ticks = [tick for tick in TICKS_HZ if bottom <= mel_scale(tick) < top]
    axes.set_yticks([mel_scale(tick) for tick in ticks], [f"{tick:,}" for tick in ticks])
    axes.set_ylabel("frequency (Hz)\nmel scale")


def _curve_names(result):
    return ("crackle", "wheeze") if result.summary.crackle is not None else ("abnormal",)


def _draw_curves(axes, result, names):
    styles = {"crackle": (COLOURS["crackle"], "-"), "wheeze": (COLOURS["wheeze"], (0, (5, 1.5)))}
    for name in names:
        colour, style = styles.get(name, (ABNORMAL, "-"))
        times, values = _steps(result.segments, name)
        axes.plot(times, values, color=colour, ls=style, lw=2, label=name, solid_capstyle="butt")
    axes.axhline(0.5, color="0.6", lw=0.8, ls=":", zorder=0)
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_ylabel("probability")
    axes.spines[["top", "right"]].set_visible(False)


def _steps(segments, name):
    """Return times and values of a curve with a step at each edge, broken where segments do not touch."""
    times, values = [], []
    for segment in segments:
        if times and segment.start > times[-1]:
            times.append(segment.start)
            values.append(np.nan)
        times += [segment.start, segment.end]
        values += [getattr(segment, name)] * 2
    return times, values


def _draw_classes(axes, result):
    spare = ("#E69F00", "#56B4E9", "#F0E442", "#999999")  # the rest of Okabe and Ito's palette, for other labels
    labels = list(result.summary.probabilities)
    colours = {label: COLOURS.get(label, spare[index % len(spare)]) for index, label in enumerate(labels)}
    runs = []
    for segment in result.segments:
        if runs and runs[-1][2] == segment.label and runs[-1][1] == segment.start:
            runs[-1][1] = segment.end
        else:
            runs.append([segment.start, segment.end, segment.label])
    _draw_strip(axes, "class", runs, colours, result.duration)


def _draw_annotated(axes, events, duration):
    axes.axvspan(0, duration, color="0.88", lw=0)
    runs = [(event.start_s, event.end_s, event.label) for event in sorted(events, key=lambda event: event.start_s)]
    _draw_strip(axes, "annotated", runs, {label: COLOURS.get(label, "#999999") for _, _, label in runs}, duration)


def _draw_strip(axes, name, runs, colours, duration):
    """Draw stretches (start, end, label) side by side, with their labels where there is room."""
    inches = axes.figure.get_figwidth()
    for start, end, label in runs:
        axes.axvspan(start, end, color=colours[label], lw=0)
        # A character is about a tenth of an inch wide, with what stands beside the axes.
        room = (end - start) / duration * inches / 0.132
        if room > 1:
            ink = "white" if _luminance(colours[label]) < 0.18 else "black"
            axes.text(
                (start + end) / 2,
                0.5,
                figure_text(label) if room > len(label) else figure_text(label)[:1],
                ha="center",
                va="center",
                fontsize=8,
                color=ink,
                weight="bold",
            )
    for edge in {start for start, _, _ in runs} | {end for _, end, _ in runs}:
        axes.axvline(edge, color="white", lw=1)
    axes.set_yticks([])
    axes.set_ylim(0, 1)
    axes.set_ylabel(name, rotation=0, ha="right", va="center")
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_reliability(curves, strip, result, narrow):
    """Cross out what is unlike the training sounds, and dot what is uncertain; the legend says which is which."""
    from matplotlib.patches import Patch

    handles, labels = curves.get_legend_handles_labels()
    for name, key, style in MARKS:
        spans = [(part.start, part.end) for part in result.segments if getattr(part, key)]
        for start, end in spans:
            strip.axvspan(start, end, facecolor="none", lw=0, **style)
            # Behind the curves, and so light that they stay what is seen first.
            light = {**style, "edgecolor": "0.8"}
            curves.axvspan(start, end, facecolor="none", lw=0, zorder=0, **light)
        if spans:
            handles.append(Patch(facecolor="none", lw=0.5, **style))
            labels.append(name)
    place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.3}
    if narrow:
        # More than three beside each other would be wider than the axes, which would then be made narrow.
        columns = {"ncols": len(labels) if len(labels) < 4 else 2, "fontsize": 8, "columnspacing": 1.2}
        place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.1, **columns}
        labels = [label.replace("\n", " ") for label in labels]
    curves.legend(handles, labels, frameon=False, handlelength=2.4, **place)


def _x_label(stream, result):
    what = "cycles" if result.kind == "cycles" else "windows, merged"
    return f"time (s); {what}; {stream.native_rate:,} Hz"


def _luminance(colour):
    """Relative luminance of ``#rrggbb`` (WCAG 2.1); white text reads better on what is below 0.18, black above."""
    channels = np.array([int(colour[index : index + 2], 16) for index in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
