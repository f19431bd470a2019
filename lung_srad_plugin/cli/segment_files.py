"""From recordings, a manifest or results to a folder of segments: classified where needed, selected, cut out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from lung_srad_plugin.annotations.files import find_annotation
from lung_srad_plugin.audio.quality import MIN_SECONDS
from lung_srad_plugin.cli.exit_codes import FAILED
from lung_srad_plugin.cli.input_files import find_recordings, result_names
from lung_srad_plugin.cli.model_notes import print_model_notes
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.review.candidates import Candidate, merge_events, merge_segments
from lung_srad_plugin.review.cutting import cut_candidates, refuse_finished_folder
from lung_srad_plugin.review.segments_table import TABLE
from lung_srad_plugin.review.selection import SegmentSelection, select_candidates
from lung_srad_plugin.review.stored_results import StoredEvent, find_audio, is_result_file, read_results
from lung_srad_plugin.utils.files import explain_write_errors
from lung_srad_plugin.utils.progress import progress_bars, track
from lung_srad_plugin.utils.text import printable, printable_lines

if TYPE_CHECKING:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier
    from lung_srad_plugin.inference.result import Segment
    from lung_srad_plugin.inference.timeline_events import Event


@dataclass(frozen=True)
class SegmentOptions:
    """How segments are made and cut out.

    Arguments
    ---------
    context : float
        Seconds around each.
    longest : float or None
        Seconds that a merged segment lasts at most; None merges nothing.
    format : str
        Of the clips.
    annotations : bool
        Whether to classify the cycles of the annotation beside each recording.
    data_root : Path or None
        Of a manifest, or of the recordings of results.
    events : tuple of str
        Findings: only stretches in which the timeline reaches the threshold of one of them; empty for all stretches.
    batch_size : int
    device : str or None
    """

    context: float = 0.5
    longest: float | None = 8.0
    format: str = "wav"
    annotations: bool = False
    data_root: Path | None = None
    events: tuple[str, ...] = ()
    batch_size: int = 2
    device: str | None = None


# The cycles of a recording in a manifest: the row of each by its times.
Cycles: TypeAlias = dict[tuple[float, float], dict[str, Any]]


def cut_segments(
    source: str,
    destination: Path,
    model: str | None,
    selection: SegmentSelection,
    options: SegmentOptions,
    trust_code: bool = False,
) -> int:
    """Write the clips of the selected segments and their table; a recording that fails is listed, the rest is done.

    Arguments
    ---------
    source : str
        A recording, a folder, a pattern, a manifest, or results.
    destination : Path
    model : str or None
        As for ``LungSoundClassifier.from_hparams``; results take none.
    selection : SegmentSelection
    options : SegmentOptions
    trust_code : bool

    Returns
    -------
    int
        The exit code: 0, or 1 where some recordings failed.

    Raises
    ------
    LungSRADError
        Where the source is faulty, the destination has segments already, or nothing is left of the selection.
    """
    refuse_finished_folder(destination)
    results = _result_files(source)
    of_manifest = not results and source.lower().endswith(".csv")
    if options.events and (options.annotations or of_manifest):
        raise LungSRADError("--event: of the timelines of whole recordings, and these are cycles; take --label")
    failed = 0
    if results:
        if model is not None or options.annotations:
            raise LungSRADError(f"{printable(source)}: results that were written earlier take no model or annotations")
        candidates = _of_results(results, options)
    else:
        recordings = _recordings_of(source, of_manifest, options)
        if selection.wrong and not of_manifest:
            raise LungSRADError("--wrong compares with labels, and only a manifest has them")
        classifier = _load_model(model, options, trust_code)
        _check_classes(classifier, selection, options)
        with explain_write_errors(destination):
            destination.mkdir(parents=True, exist_ok=True)
        candidates, failed = _classify(classifier, recordings, options)
    long = [one for one in candidates if one.segment.end - one.segment.start >= MIN_SECONDS - 1e-6]
    if not long:
        what = f"in which {' or '.join(options.events)} reaches its threshold" if options.events else "to cut out"
        raise LungSRADError(f"{printable(source)}: has no segment of {MIN_SECONDS} s or more {what}")
    selected = select_candidates(long, selection)
    names = _names(one.recording for one in long)
    with progress_bars() as progress:
        task = progress.add_task("clips", total=len(selected))
        rows = cut_candidates(
            selected, names, destination, options.context, options.format, lambda: progress.advance(task)
        )
    counts = ", ".join(
        f"{count} {label}" for label in rows[0].probabilities if (count := sum(row.predicted == label for row in rows))
    )
    print(f"{printable(destination / TABLE)}: {len(rows)} of {len(long):,} segments (predicted: {printable(counts)})")
    return FAILED if failed else 0


def _names(recordings: Iterable[Path]) -> dict[Path, str]:
    """Return a name for the segments of each recording, no two alike, without folders."""
    ordered = sorted(set(recordings))
    return {path: "_".join(name.parts) for path, name in zip(ordered, result_names(ordered), strict=True)}


def _result_files(source: str) -> list[Path]:
    """Return the result files that the source names; empty where it names recordings or a manifest."""
    path = Path(source)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if is_result_file(file))
        if not files:
            return []
        try:
            find_recordings([source])
        except LungSRADError:
            return files
        raise LungSRADError(
            f"{printable(source)}: holds recordings and results of them; name one kind, such as '{source}/*.wav' or "
            f"'{source}/*.lung-srad.json'"
        )
    if path.suffix.lower() in (".json", ".jsonl", ".parquet"):
        found = sorted(path.parent.glob(path.name)) if not path.is_file() else [path]
        if not found:
            raise LungSRADError(f"{printable(source)}: no such file of results")
        return found
    if path.suffix.lower() == ".csv":
        found = [path] if path.is_file() else sorted(path.parent.glob(path.name))
        if not found:
            raise LungSRADError(f"{printable(source)}: no such manifest or file of results")
        return found if all(_is_result_table(file) for file in found) else []
    return []


def _is_result_table(path):
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().startswith("file,start,end,label,")


def _of_results(files: Sequence[Path], options: SegmentOptions) -> list[Candidate]:
    results = read_results(track(files, "reading results"))
    audio = find_audio(results, options.data_root)
    return [
        Candidate(recording, segment, result.model)
        for result, recording in zip(results, audio, strict=True)
        for segment in _merged([one.segment() for one in result.segments], result.kind, result.events, options)
    ]


def _merged(
    segments: Sequence[Segment], kind: str, events: Sequence[Event | StoredEvent] | None, options: SegmentOptions
) -> Sequence[Segment]:
    if options.events:
        if kind != "timeline" or events is None:
            raise LungSRADError(
                "--event: the results do not say where a threshold is reached; take timelines as JSON (classify "
                "--format json) of a model with thresholds, such as starter, or the recordings themselves"
            )
        spans = [(event.start, event.end) for event in events if event.finding in options.events]
        return merge_events(segments, spans, options.longest)
    if kind != "timeline" or options.longest is None:
        return segments
    return merge_segments(segments, options.longest)


def _cycles_of_manifest(manifest: Path, data_root: Path | None) -> dict[Path, Cycles]:
    from lung_srad_plugin.datasets.manifests import read_manifest, validate_manifest

    labels = sorted({row["label"] for row in read_manifest(manifest, data_root)})
    found: dict[Path, Cycles] = {}
    for row in validate_manifest(manifest, labels, data_root).rows:
        cycles = found.setdefault(Path(row["wav"]).absolute(), {})
        cycles.setdefault((row["start"], row["stop"]), row)
    return found


def _recordings_of(source: str, is_manifest: bool, options: SegmentOptions) -> Mapping[Path, Cycles | None]:
    if is_manifest:
        if options.annotations:
            raise LungSRADError("--annotations: the cycles of a manifest are in it; leave it out")
        return _cycles_of_manifest(Path(source), options.data_root)
    if options.data_root is not None:
        raise LungSRADError("--data-root: of a manifest or of results, and these are recordings; leave it out")
    return dict.fromkeys(path.absolute() for path in find_recordings([source]))


def _load_model(model: str | None, options: SegmentOptions, trust_code: bool) -> LungSoundClassifier:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier

    run_opts = None if options.device is None else {"device": options.device}
    classifier = LungSoundClassifier.from_hparams(source=model, run_opts=run_opts, trust_code=trust_code)
    print_model_notes(classifier, "a third argument names another" if model is None else None)
    return classifier


def _check_classes(classifier: LungSoundClassifier, selection: SegmentSelection, options: SegmentOptions) -> None:
    """Refuse classes and events that the model does not know, before hours of recordings are classified."""
    if unknown := [label for label in selection.labels if label not in classifier.labels]:
        raise LungSRADError(f"--label {', '.join(unknown)}: the model's classes are {', '.join(classifier.labels)}")
    thresholds = classifier.select_rule().thresholds
    if missing := [event for event in options.events if event not in thresholds]:
        raise LungSRADError(
            f"--event {', '.join(missing)}: {classifier.model_id} has no threshold for it; lung-srad check-timeline "
            "--choose finds one"
        )


def _classify(
    classifier: LungSoundClassifier, recordings: Mapping[Path, Cycles | None], options: SegmentOptions
) -> tuple[list[Candidate], int]:
    """Return the candidates of recordings, and how many of these failed."""
    candidates: list[Candidate] = []
    failed = 0
    for recording, cycles in track(list(recordings.items()), "classifying recordings"):
        try:
            candidates += _candidates_of(classifier, recording, cycles, options)
        except (LungSRADError, OSError) as error:
            failed += 1
            print(f"error: {printable_lines(error)}", file=sys.stderr, flush=True)
    if failed:
        print(f"{failed} of {len(recordings)} recordings failed; the reasons are above", file=sys.stderr)
    if failed == len(recordings):
        raise LungSRADError("no recording could be classified; the reasons are above")
    return candidates, failed


def _candidates_of(
    classifier: LungSoundClassifier, recording: Path, cycles: Cycles | None, options: SegmentOptions
) -> list[Candidate]:
    times: Any = None
    if cycles is not None:
        times = list(cycles)
    elif options.annotations:
        times = find_annotation(recording)
    result = classifier.classify_file(recording, times, batch_size=options.batch_size)
    found = []
    events = result.events if result.windows is not None and result.windows.thresholds else None
    for segment in _merged(result.segments, result.kind, events, options):
        row = {} if cycles is None else cycles[segment.start, segment.end]
        found.append(Candidate(recording, segment, result.model, row.get("patient", ""), row.get("label", "")))
    return found
