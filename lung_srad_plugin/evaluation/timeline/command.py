"""``lung-srad check-timeline``: from a model and an annotated manifest to a table, files and a picture."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lung_srad_plugin.audio.merging import MERGING
from lung_srad_plugin.datasets.manifests import validate_manifest
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.manifest_table import map_labels, read_labels_map
from lung_srad_plugin.evaluation.model_source import cautions_of_part, part_of_training
from lung_srad_plugin.evaluation.timeline.answers import classify_windows
from lung_srad_plugin.evaluation.timeline.axis import Axis, Timeline
from lung_srad_plugin.evaluation.timeline.choose import (
    HOPS,
    WINDOWS,
    Candidate,
    list_rules,
    rate_rule,
    select_candidate,
)
from lung_srad_plugin.evaluation.timeline.figure import plot_recordings, select_recordings
from lung_srad_plugin.evaluation.timeline.measure import METRICS, Measured, measure_timeline
from lung_srad_plugin.evaluation.timeline.recordings import group_rows, select_data_sets
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.starter_model import model_path
from lung_srad_plugin.inference.windows import WindowRule, select_rule
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.findings import finding_members
from lung_srad_plugin.metrics.timeline import DETECTION_OVERLAP, EVENT_OVERLAP
from lung_srad_plugin.reporting.figures import save_figure
from lung_srad_plugin.utils.files import refuse_foreign_files, write_together
from lung_srad_plugin.utils.progress import progress_bars
from lung_srad_plugin.utils.provenance import file_sha256

FILES = ("timeline.json", "timeline.csv", "candidates.csv", "timeline.png")
DEFAULT_THRESHOLD = 0.5
CYCLES = "annotated cycles"


@dataclass(frozen=True)
class TimelineOptions:
    """The options of ``check_timeline``.

    Arguments
    ---------
    data_root : str or Path, optional
        What ``{data_root}`` in the manifest stands for.
    labels_map : str or Path, optional
        JSON, the manifest's labels to the model's, see ``read_labels_map``.
    data_sets : tuple of str
        Only the rows with one of these in the column ``dataset``; empty for all rows. Rows that are whole recordings
        with one label are no annotation of time and belong left out.
    choose : bool
        Whether to choose window, hop, merging and thresholds on this manifest. Else they are the model's.
    windows, hops : tuple of float
        To be tried, in seconds; empty for the usual ones when choosing, else for what the model recommends.
    mergings : tuple of str
        As for ``windows``.
    frame : float
        Seconds from one frame to the next.
    pictures : int
        Recordings in the picture.
    bootstrap : Bootstrap
        How the intervals are made.
    batch_size : int
        Windows that go through the model at once.
    device : str, optional
    trust_code : bool
        As of ``LungSoundClassifier.from_hparams``.
    """

    data_root: str | Path | None = None
    labels_map: str | Path | None = None
    data_sets: tuple[str, ...] = ()
    choose: bool = False
    windows: tuple[float, ...] = ()
    hops: tuple[float, ...] = ()
    mergings: tuple[str, ...] = ()
    frame: float = 0.1
    pictures: int = 6
    bootstrap: Bootstrap = field(default_factory=lambda: Bootstrap(resamples=1000))
    batch_size: int = 16
    device: str | None = None
    trust_code: bool = False


def check_timeline(
    model: str | Path, manifest: str | Path, output: str | Path, options: TimelineOptions | None = None
) -> dict[str, Any]:
    """Compare timelines of a model with the annotation of whole recordings, and write ``FILES``.

    Arguments
    ---------
    model : str or Path
        A model folder, or ``starter``.
    manifest : str or Path
        CSV of cycles or events with the columns of a manifest and ``patient``; rows with the same ``wav`` annotate one
        recording, and what lies between them is not counted.
    output : str or Path
        The folder to write to.
    options : TimelineOptions, optional

    Returns
    -------
    dict
        As in ``timeline.json``: the timelines with their numbers by data set and finding, the rules that were tried,
        and under ``chosen`` the rule that ``lung-srad export --timeline`` takes.

    Raises
    ------
    LungSRADError
        Where an option, the model or the manifest is faulty.
    """
    options, output = options or TimelineOptions(), Path(output)
    _check_options(options)
    refuse_foreign_files(output / name for name in FILES)
    run_opts = None if options.device is None else {"device": options.device}
    classifier = LungSoundClassifier.from_hparams(model_path(model), run_opts=run_opts, trust_code=options.trust_code)
    labels = classifier.labels
    mapping = None if options.labels_map is None else read_labels_map(options.labels_map)
    rows = validate_manifest(manifest, list(labels if mapping is None else mapping), options.data_root).rows
    rows = select_data_sets(rows, options.data_sets, manifest)
    recordings = group_rows(map_labels(rows, mapping, labels, manifest), labels, manifest)
    rules = _rules(classifier, options)
    with progress_bars() as progress:
        task = progress.add_task("recordings", total=len(recordings))
        answers = classify_windows(
            classifier, recordings, rules, options.batch_size, lambda done, _: progress.update(task, completed=done)
        )
    axis = Axis(recordings, answers, classifier.sample_rate, labels, options.frame)
    candidates: list[Candidate] = []
    if options.choose:
        candidates = sorted((rate_rule(axis, rule) for rule in rules), key=lambda one: -one.agreement)
        chosen = select_candidate(candidates).rule
        rules = [chosen, *(one.rule for one in candidates if _is_default(one.rule, classifier) and one.rule != chosen)]
    timelines: list[tuple[str, WindowRule, Timeline]] = [(_name(rule), rule, axis.merge(rule)) for rule in rules]
    timelines.append((CYCLES, rules[0], axis.cycles()))
    report = _report(classifier, manifest, options, axis, timelines)
    if options.choose:
        report["chosen"] = {**asdict(rules[0]), "data": Path(manifest).name}
        report["candidates"] = [one.describe() for one in candidates]
    texts = {"timeline.json": json.dumps(_finite(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"}
    texts["timeline.csv"] = _csv(list(_flat(report)))
    if candidates:
        texts["candidates.csv"] = _csv(report["candidates"])
    write_together({output / name: text for name, text in texts.items()})
    if options.pictures:
        figure = plot_recordings(axis, timelines[0][2], rules[0], select_recordings(axis, options.pictures))
        save_figure(figure, output / "timeline.png")
    return report


def _check_options(options: TimelineOptions) -> None:
    if not 0.01 <= options.frame <= 10:
        raise LungSRADError(f"frame={options.frame!r}; expected seconds from 0.01 to 10")
    if options.pictures < 0:
        raise LungSRADError(f"pictures={options.pictures!r}; expected a whole number from 0")


def _rules(classifier: LungSoundClassifier, options: TimelineOptions) -> list[WindowRule]:
    """Return the rules to be run, each with thresholds, those of the model's recommendation first."""
    recommended = None if classifier.config is None else classifier.config.timeline
    own = classifier.select_rule()
    asked = bool(options.windows or options.hops or options.mergings)
    for window in options.windows:
        select_rule(recommended, classifier.window, window)
    for merging in options.mergings:
        select_rule(recommended, classifier.window, merging=merging)
    if options.choose:
        windows = options.windows or tuple(sorted({*WINDOWS, classifier.window}))
        rules = list_rules(classifier.window, windows, options.hops or HOPS, options.mergings or MERGING)
    elif asked:
        windows = options.windows or (own.window,)
        rules = list_rules(classifier.window, windows, options.hops or (own.hop,), options.mergings or (own.merging,))
    else:
        rules = [own]
    if not rules:
        raise LungSRADError("no combination of --window and --hop is possible: every hop is longer than every window")
    default = select_rule(None, classifier.window)
    if not any(_is_default(rule, classifier) for rule in rules):
        rules.append(default)
    thresholds: dict[str, float] = dict.fromkeys(finding_members(classifier.labels), DEFAULT_THRESHOLD)
    if recommended is None:
        return [replace(rule, thresholds=thresholds) for rule in rules]
    thresholds |= recommended.thresholds
    return [replace(rule, thresholds=thresholds, min_duration=recommended.min_duration) for rule in rules]


def _is_default(rule: WindowRule, classifier: LungSoundClassifier) -> bool:
    default = select_rule(None, classifier.window)
    return (rule.window, rule.hop) == (default.window, default.hop) and rule.merging == default.merging


def _name(rule: WindowRule) -> str:
    return f"{rule.window:g} s every {rule.hop:g} s, {rule.merging}"


def _report(
    classifier: LungSoundClassifier,
    manifest: str | Path,
    options: TimelineOptions,
    axis: Axis,
    timelines: Sequence[tuple[str, WindowRule, Timeline]],
) -> dict[str, Any]:
    protocol = classifier.config.model_dump()["protocol"] or {}
    cautions = cautions_of_part(part_of_training(protocol, manifest), protocol)
    if options.choose:
        cautions.append("Windows, thresholds and shortest events were chosen on these recordings: others give less.")

    def measure(rule: WindowRule, timeline: Timeline) -> list[Measured]:
        # A finding that no validation recording has keeps the default threshold.
        thresholds = dict.fromkeys(axis.findings, DEFAULT_THRESHOLD) | dict(rule.thresholds)
        return measure_timeline(axis, timeline, thresholds, rule.min_duration, options.frame, options.bootstrap)

    return {
        "model": classifier.model_id,
        "manifest": Path(manifest).name,
        "sha256": file_sha256(manifest),
        "frame": options.frame,
        "overlap": {"of a run": DETECTION_OVERLAP, "of an event": EVENT_OVERLAP},
        "bootstrap": options.bootstrap.describe(),
        "cautions": cautions,
        "timelines": [
            {
                "name": name,
                "rule": None if name == CYCLES else asdict(rule),
                "measured": [asdict(one) for one in measure(rule, timeline)],
            }
            for name, rule, timeline in timelines
        ],
    }


def _flat(report: dict[str, Any]):
    """Yield a row for each timeline, data set and finding."""
    for timeline in report["timelines"]:
        for one in timeline["measured"]:
            row = {"timeline": timeline["name"], **{key: value for key, value in one.items() if key != "metrics"}}
            for name in METRICS:
                interval = one["metrics"][name]
                row |= {name: interval["value"], f"{name}_low": interval["low"], f"{name}_high": interval["high"]}
            yield row


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def _finite(value: Any) -> Any:
    """Return the value with None for each NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
