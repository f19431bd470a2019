"""Explaining cycles of a manifest, or windows of recordings: from the command line to a folder with a gallery."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lung_srad_plugin.audio.clips import loud_flac
from lung_srad_plugin.cli.classify_files import describe_error
from lung_srad_plugin.cli.exit_codes import FAILED
from lung_srad_plugin.cli.input_files import find_recordings
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.files import refuse_foreign_files, write_together
from lung_srad_plugin.utils.progress import track
from lung_srad_plugin.utils.text import csv_text, figure_text, json_text, printable, printable_lines

PAGE, TABLE, SUMMARY, PICTURES, REMOVAL = "index.html", "explanations.csv", "summary.json", "maps", "removal"
NONE_READ = "no recording could be read; the reasons are above"
SHOWN_SHARE = 0.2  # of the cells removed, for which the page shows each cycle's falls
PICTURE_ROWS, PICTURE_SECONDS = 16, 0.1  # of the cells that are drawn


@dataclass(frozen=True)
class ExplainOptions:
    """How decisions are explained.

    Arguments
    ---------
    methods : tuple of str
        Some of ``analysis.explain.METHODS``.
    target : str
        As for ``target_classes``.
    limit : int
        How many cycles at most.
    sound : bool
        Whether the page holds the sounds.
    """

    methods: tuple[str, ...] = ("mixing", "gradients")
    target: str = "predicted"
    limit: int = 24
    sound: bool = True


class Part(NamedTuple):
    """A cycle or window to explain: its ID, its recording, its times in seconds, and its label where that is known."""

    name: str
    recording: str
    start: float
    stop: float
    label: str | None


_COLUMNS = ("ID", "wav", "start", "stop", "label")  # of a manifest, for the fields of a Part


def explain_cycles(
    model: str,
    sources: Sequence[str],
    output: Path,
    options: ExplainOptions,
    data_root: Path | None = None,
    labels_map: Path | None = None,
    device: str | None = None,
    trust_code: bool = False,
) -> int:
    """Explain cycles and write the gallery, the table, the summary and the pictures.

    A recording that cannot be read is listed on standard error, and the others are explained.

    Arguments
    ---------
    model : str
        As for ``LungSoundClassifier.from_hparams``.
    sources : list of str
        One manifest, whose name ends in .csv, or recordings.
    output : Path
        Folder to write to.
    options : ExplainOptions
    data_root, labels_map : Path or None
        Of the manifest.
    device : str or None
    trust_code : bool

    Returns
    -------
    int
        The exit code: 0, or 1 where some recordings cannot be read.

    Raises
    ------
    LungSRADError
        Before anything is computed, where the sources, the methods, the target or the output folder do not fit; where
        no recording can be read.
    """
    from lung_srad_plugin.reporting.figures import FORMATS, save_figures
    from lung_srad_plugin.reporting.map_figure import webp

    manifest = _manifest_of(sources)
    recordings = [] if manifest else find_recordings(sources)
    refuse_foreign_files(output / name for name in (PAGE, TABLE, SUMMARY, *(f"{REMOVAL}.{end}" for end in FORMATS)))

    import torch

    from lung_srad_plugin.analysis.clip_maps import explain_clip
    from lung_srad_plugin.analysis.cycles import select_cycles
    from lung_srad_plugin.analysis.decision import target_classes
    from lung_srad_plugin.analysis.explain import check_methods
    from lung_srad_plugin.inference.classifier import LungSoundClassifier

    run_opts = None if device is None else {"device": device}
    classifier = LungSoundClassifier.from_hparams(source=model, run_opts=run_opts, trust_code=trust_code)
    check_methods(options.methods, classifier.mods.embedding_model)
    target_classes(options.target, classifier.labels, [1.0] * len(classifier.labels))
    failed: set[str] = set()
    if manifest:
        parts = _parts_of_manifest(classifier, manifest, data_root, labels_map)
    else:
        parts = _parts_of_recordings(classifier, recordings, failed)
    classes = list(dict.fromkeys(part["label"] for part in parts))
    selected = [Part(**part) for part in select_cycles(parts, options.limit, classes)]
    names = [f"{number:03d}_{_file_name(part.name)}" for number, part in enumerate(selected, 1)]
    refuse_foreign_files(output / PICTURES / f"{name}.{ending}" for name in names for ending in FORMATS)

    generator = torch.Generator().manual_seed(0)
    items: dict[str, Any] = {}
    read_clip = _ClipReader(classifier)
    for name, part in zip(names, track(selected, "explaining cycles"), strict=True):
        if part.recording in failed:
            continue
        try:
            clip = read_clip(part)
        except (LungSRADError, OSError) as error:
            _list_failure(error, Path(part.recording), failed)
            continue
        explained = explain_clip(classifier, clip, options.methods, options.target, generator)
        figure = _picture(classifier, part, explained, options.methods)
        save_figures(figure, output / PICTURES / name)
        items[name] = _gallery_item(classifier, part, clip, explained, webp(figure), options.sound)
    if not items:
        raise LungSRADError(NONE_READ)
    names = list(items)
    _write_gallery(classifier, list(items.values()), names, output, manifest or "recordings", len(parts), options)
    return FAILED if failed else 0


def _list_failure(error: Exception, recording: Path, failed: set[str]) -> None:
    failed.add(str(recording))
    print(f"error: {printable_lines(describe_error(error, recording))}", file=sys.stderr, flush=True)


def _manifest_of(sources):
    manifests = [source for source in sources if source.lower().endswith(".csv")]
    if manifests and len(sources) > 1:
        raise LungSRADError(f"{printable(manifests[0])}: expected one manifest, or recordings, and not both")
    return manifests[0] if manifests else None


def _parts_of_manifest(classifier, manifest, data_root, labels_map):
    from lung_srad_plugin.datasets.manifests import validate_manifest
    from lung_srad_plugin.evaluation.manifest_table import map_labels, read_labels_map

    mapping = None if labels_map is None else read_labels_map(labels_map)
    known = list(classifier.labels) if mapping is None else list(mapping)
    rows = validate_manifest(manifest, known, data_root).rows
    rows = map_labels(rows, mapping, classifier.labels, manifest)
    return [dict(zip(Part._fields, (row[name] for name in _COLUMNS), strict=True)) for row in rows]


def _parts_of_recordings(classifier, recordings, failed):
    from lung_srad_plugin.audio.source import audio_source
    from lung_srad_plugin.inference.recording import cut_recording

    rule = classifier.select_rule(hop=classifier.window, window=classifier.window)
    parts = []
    for recording in recordings:
        try:
            times = cut_recording(classifier, audio_source(recording), None, rule).times
        except (LungSRADError, OSError) as error:
            _list_failure(error, recording, failed)
            continue
        parts += [
            Part(f"{recording.stem}_{number:03d}", str(recording), start, end, None)._asdict()
            for number, (start, end) in enumerate(times, 1)
        ]
    if not parts:
        raise LungSRADError(NONE_READ)
    return parts


class _ClipReader:
    """Cuts parts out of recordings, of which it keeps the last."""

    def __init__(self, classifier):
        self._features = classifier.mods.compute_features
        self._rate = classifier.sample_rate
        self._path = self._prepared = None

    def __call__(self, part: Part) -> Any:
        from lung_srad_plugin.audio.reading import load_recording
        from lung_srad_plugin.inference.predict import Clip

        if part.recording != self._path:
            self._prepared = self._features.prepare(load_recording(part.recording, self._rate), name=part.recording)
            self._path = part.recording
        name = f"{part.recording}, {part.start:.2f} to {part.stop:.2f} s"
        return Clip(name, self._features.cut(self._prepared, part.start, part.stop, name=part.recording))


def _picture(classifier, part, explained, methods):
    from lung_srad_plugin.analysis.explain import METHOD_TITLES
    from lung_srad_plugin.audio.feature_axes import feature_axes
    from lung_srad_plugin.reporting.map_figure import plot_maps

    fine = _picture_cells(classifier)
    maps = {}
    for method in methods:
        cells = explained.explanation.cells if method == "occlusion" else fine
        title = f"{METHOD_TITLES[method]}: log-odds of {figure_text(explained.target)}"
        maps[title] = cells.sum(explained.explanation.maps[method].cpu()).numpy()
    axes = feature_axes(classifier.mods.compute_features)
    length = part.stop - part.start
    joins = [] if length >= classifier.window else np.arange(length, classifier.window, length).tolist()
    return plot_maps(explained.feats.numpy(), maps, axes.extent, axes.ticks(), joins)


def _picture_cells(classifier):
    """Return the cells in which maps are drawn, but for occlusion, which has its own."""
    from lung_srad_plugin.analysis.map_cells import divide_features

    frames, mels = classifier.mods.compute_features.shape
    columns = max(1, min(frames, round(classifier.window / PICTURE_SECONDS)))
    return divide_features(frames, mels, min(PICTURE_ROWS, mels), columns)


def _describe_cells(classifier, cells):
    mels = classifier.mods.compute_features.fbank.n_mels
    return f"{classifier.window / cells.columns:.2g} s by {mels / cells.rows:g} of {mels} mel bins"


def _gallery_item(classifier, part, clip, explained, picture, sound):
    from lung_srad_plugin.analysis.map_agreement import REMOVED_SHARES
    from lung_srad_plugin.reporting.gallery import GalleryItem

    explanation, numbers = explained.explanation, {}
    for (first, second), agreement in explanation.agreements.items():
        numbers[f"rank_correlation_{first}_{second}"] = agreement.rank_correlation
        numbers[f"top_overlap_{first}_{second}"] = agreement.top_overlap
    for method, falls in explanation.falls.items():
        numbers |= {f"fall_{method}_{100 * share:g}": fall for share, fall in zip(REMOVED_SHARES, falls, strict=True)}
    if "gradients" in explanation.maps:
        # What integrated gradients do not account for: the error of their steps.
        gap = explanation.log_odds - explanation.log_odds_of_baseline
        numbers["gradients_error"] = gap - explanation.maps["gradients"].sum().item()
    return GalleryItem(
        name=part.name,
        recording=Path(part.recording).name,
        start=part.start,
        stop=part.stop,
        truth=part.label,
        predicted=explained.label,
        probabilities=explained.probabilities,
        target=explained.target,
        log_odds=explanation.log_odds,
        log_odds_of_baseline=explanation.log_odds_of_baseline,
        numbers=numbers,
        picture=picture,
        sound=loud_flac(clip.waveform.cpu().numpy(), classifier.sample_rate) if sound else None,
    )


def _write_gallery(classifier, items, names, output, data, total, options):
    from lung_srad_plugin.analysis.clip_maps import clip_cells
    from lung_srad_plugin.analysis.explain import METHOD_TITLES
    from lung_srad_plugin.analysis.map_agreement import REMOVED_SHARES
    from lung_srad_plugin.reporting.figures import save_figures
    from lung_srad_plugin.reporting.gallery import render_gallery, summarize_numbers
    from lung_srad_plugin.reporting.map_figure import plot_removal, webp

    summary = summarize_numbers(items)
    titles = {method: METHOD_TITLES[method] for method in options.methods}
    falls = {
        title: [summary[f"fall_{name}_{100 * share:g}"]["mean"] for share in REMOVED_SHARES]
        for name, title in {**titles, "random": "random cells"}.items()
    }
    removal = plot_removal(REMOVED_SHARES, falls, len(items))
    save_figures(removal, output / REMOVAL)
    facts = {
        "model": classifier.model_id,
        "data": Path(data).name,
        "labels": classifier.labels,
        "methods": titles,
        "pairs": [(a, b) for i, a in enumerate(options.methods) for b in options.methods[i + 1 :]],
        "shares": REMOVED_SHARES,
        "shown_share": SHOWN_SHARE,
        "cell": _describe_cells(classifier, clip_cells(classifier)),
        "picture_cell": _describe_cells(classifier, _picture_cells(classifier)),
        "left_out": total - len(items),
        "synthetic": classifier.trained_on_synthetic,
    }
    text = json.dumps(
        {"model": classifier.model_id, "data": facts["data"], "cycles": len(items), "of": total, **asdict(options)}
        | {"cell": facts["cell"], "numbers": summary},
        indent=2,
    )
    write_together(
        {
            output / TABLE: _table(items, names),
            output / SUMMARY: json_text(text) + "\n",
            output / PAGE: render_gallery(items, facts, webp(removal)),
        }
    )
    print(printable(output / PAGE))


def _table(items, names):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows = [
        {
            "ID": csv_text(item.name),
            "recording": csv_text(item.recording),
            "start": item.start,
            "stop": item.stop,
            "label": csv_text(item.truth or ""),
            "predicted": csv_text(item.predicted),
            **{csv_text(f"p_{label}"): f"{value:.6f}" for label, value in item.probabilities.items()},
            "target": csv_text(item.target),
            "log_odds": f"{item.log_odds:.6f}",
            "log_odds_of_baseline": f"{item.log_odds_of_baseline:.6f}",
            **{column: "" if value is None else f"{value:.6f}" for column, value in item.numbers.items()},
            "picture": f"{PICTURES}/{name}.png",
        }
        for item, name in zip(items, names, strict=True)
    ]
    writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)
    return text.getvalue()


def _file_name(name):
    """Return an ID as the name of a file on every system, at most 80 characters."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("._")[:80] or "cycle"
