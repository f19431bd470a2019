"""``lung-srad evaluate``: from a run, several seeds or folds of it, a model or predictions to a report."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.folds import are_folds, pool_folds
from lung_srad_plugin.evaluation.manifest_table import read_labels_map
from lung_srad_plugin.evaluation.model_source import classify_manifest
from lung_srad_plugin.evaluation.options import EvaluationOptions
from lung_srad_plugin.evaluation.page import render_html, render_markdown
from lung_srad_plugin.evaluation.page_seeds import render_seeds_html, render_seeds_markdown
from lung_srad_plugin.evaluation.predictions_source import load_predictions
from lung_srad_plugin.evaluation.report import build_report, resampled_patients
from lung_srad_plugin.evaluation.run_source import find_cycles, is_run, load_run
from lung_srad_plugin.evaluation.same_experiment import ExperimentRun
from lung_srad_plugin.evaluation.seeds import build_seeds_report
from lung_srad_plugin.evaluation.sources import Source
from lung_srad_plugin.evaluation.worst_cycles import load_sounds
from lung_srad_plugin.inference.starter_model import model_path
from lung_srad_plugin.metrics.predictions import PredictionTable
from lung_srad_plugin.metrics.predictions_file import format_predictions, read_predictions
from lung_srad_plugin.runs.run_folder import REPORT_FILES, RunFolder
from lung_srad_plugin.utils.files import refuse_foreign_files, write_together
from lung_srad_plugin.utils.folders import shorten_name
from lung_srad_plugin.utils.progress import progress_bars

# From this number of resampled patients on, the expected time is printed before the work begins.
MUCH = 100_000_000
SECONDS_PER_PATIENT = 4e-7  # and resample, for all metrics and their groups; measured on one core of a busy machine


def evaluate(source: str | Path, output: str | Path, options: EvaluationOptions | None = None) -> dict[str, Any]:
    """Evaluate and write ``report.json``, ``report.md`` and ``report.html``, of a model ``predictions.csv`` too.

    Arguments
    ---------
    source : str or Path
        The output folder of a training run, which is reported as it was tested then; with a manifest, its exported
        model is used. Or a model folder or ``starter``, which need a manifest. Or a predictions CSV, of whatever model.
    output : str or Path
        The folder to write to.
    options : EvaluationOptions, optional
        The manifest, other models to compare with, how the intervals are made, and so on.

    Returns
    -------
    dict
        The report, as in ``report.json``.

    Raises
    ------
    LungSRADError
        Where the options do not fit together, or data, model or predictions are faulty.
    """
    source, output, options = model_path(source), Path(output), options or EvaluationOptions()
    classified = options.manifest is not None and not source.is_file()
    written = (*REPORT_FILES, "predictions.csv") if classified else REPORT_FILES
    refuse_foreign_files(output / name for name in written)
    found = _load(source, options)
    predictions = {"predictions.csv": found.selections[0].table} if classified else {}
    return _report(found, output, options, predictions)


def evaluate_runs(
    runs: Sequence[str | Path], output: str | Path, options: EvaluationOptions | None = None
) -> dict[str, Any]:
    """Evaluate several runs of one experiment together, and write one report.

    Runs that differ in their seed give mean, standard deviation and each seed; with a manifest,
    ``predictions_seed_<seed>.csv`` of each model is written too. Runs that are the folds of a cross-validation (split
    ``kfold``, or ``device`` with another device left out each time) are pooled: each cycle is classified by the model
    that was trained without it, and ``predictions.csv`` has them all.

    Arguments
    ---------
    runs : sequence of (str or Path)
        The output folders of training runs, two or more.
    output, options
        As in ``evaluate``, for each run.

    Returns
    -------
    dict
        The report, as in ``report.json``; over seeds it has ``seeds``.

    Raises
    ------
    LungSRADError
        As ``evaluate``; where a folder holds no finished run, runs differ in more than their seed or fold, or folds are
        missing or given a manifest.
    """
    folders, output, options = [Path(run) for run in runs], Path(output), options or EvaluationOptions()
    refuse_foreign_files(output / name for name in REPORT_FILES)
    if len(folders) < 2:
        raise LungSRADError(f"{len(folders)} runs: expected two or more; a single one has a report of its own")
    for run in folders:
        if not is_run(run):
            raise LungSRADError(f"{run}: not the output folder of a finished training run; among several, each is one")
    found = [ExperimentRun(run, _load(run, options), RunFolder(run).settings(options.trust_code)) for run in folders]
    if are_folds(found):
        if options.manifest is not None:
            raise LungSRADError(
                f"{options.manifest}: the folds of a cross-validation classify their own test cycles; leave it out"
            )
        pooled = pool_folds(found)
        return _report(pooled, output, options, {"predictions.csv": pooled.selections[0].table})
    others = _read_others(options, found[0].source.selections[0].table.labels)
    with progress_bars(counts=False) as progress:
        task = progress.add_task("resampling patients", total=None)
        watched = replace(options.bootstrap, progress=lambda done, patients: progress.advance(task, done * patients))
        report = build_seeds_report(found, watched, options.harmonic, others, options.worst_cycles)
    stretches = found[0].source.stretches
    sounds = load_sounds(report["worst_cycles"], stretches) if options.worst_cycles else {}
    texts = {
        "report.json": _json(report),
        "report.md": render_seeds_markdown(report),
        "report.html": render_seeds_html(report, sounds),
    }
    tables = {
        f"predictions_seed_{run.seed}.csv": run.source.selections[0].table
        for run in found
        if options.manifest is not None
    }
    _write(output, texts, tables)
    return report


def _report(
    source: Source, output: Path, options: EvaluationOptions, predictions: Mapping[str, PredictionTable]
) -> dict[str, Any]:
    """Build and write the report of a ``Source``, with predictions by name of file."""
    others = _read_others(options, source.selections[0].table.labels)
    work = options.bootstrap.resamples * resampled_patients(source, others)
    if work > MUCH:
        print(
            f"note: {options.bootstrap.resamples:,} resamples of this many patients take about "
            f"{max(1, round(work * SECONDS_PER_PATIENT / 60))} min; --resamples 1000 is quicker",
            file=sys.stderr,
            flush=True,
        )
    with progress_bars(counts=False) as progress:
        task = progress.add_task("resampling patients", total=work)
        watched = replace(options.bootstrap, progress=lambda done, patients: progress.advance(task, done * patients))
        report = build_report(source, watched, options.harmonic, others, options.worst_cycles)
    sounds = load_sounds(report["worst_cycles"], source.stretches) if options.worst_cycles else {}
    texts = {
        "report.json": _json(report),
        "report.md": render_markdown(report),
        "report.html": render_html(report, sounds),
    }
    _write(output, texts, predictions)
    return report


def _read_others(options, labels):
    """Return the predictions to compare with by name: files, and those of the first rule of runs."""
    others = {}
    for path in map(Path, options.against):
        if is_run(path):
            first = load_run(path, options.test_set).selections[0]
            name, table = f"{path.resolve().parent.name}/{path.resolve().name}, {first.rule}-selected", first.table
        else:
            name, table = path.stem, read_predictions(path, labels)
        if name in others:
            raise LungSRADError(f"--against {path}: another has the name {name} too; rename one, to tell them apart")
        others[name] = table
    return others


def _json(report):
    return json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _write(output: Path, texts: Mapping[str, str], predictions: Mapping[str, PredictionTable]) -> None:
    tables = {name: format_predictions(table) for name, table in predictions.items()}
    write_together({output / name: text for name, text in {**texts, **tables}.items()})


def _load(source: Path, options: EvaluationOptions) -> Source:
    manifest, data_root, valid = options.manifest, options.data_root, options.valid
    windows, labels_map = options.windows, options.labels_map
    if source.is_file():
        given = {"--labels-map": labels_map, "--windows": windows, "--device": options.device}
        _refuse(source, "predictions", given | {"--test-set": options.test_set})
        return load_predictions(source, manifest, data_root, valid)
    if is_run(source) and manifest is None:
        given = {"--labels-map": labels_map, "--valid": valid, "--windows": windows}
        given |= {} if options.worst_cycles else {"--data-root": data_root}
        _refuse(source, "the test cycles of a run, which were classified when it was trained", given)
        found = load_run(source, options.test_set)
        return (
            found if data_root is None else find_cycles(found, source, options.test_set, data_root, options.trust_code)
        )
    _refuse(source, "cycles of a manifest", {"--test-set": options.test_set})
    model = RunFolder(source).export if is_run(source) else source
    if manifest is None:
        raise LungSRADError(
            f"{shorten_name(source)}: not the output folder of a finished training run nor a file of predictions; to "
            "evaluate a model, give a manifest too"
        )
    mapping = None if labels_map is None else read_labels_map(labels_map)
    with progress_bars() as progress:
        task = progress.add_task("cycles", total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        return classify_manifest(
            model,
            manifest,
            data_root,
            mapping,
            valid,
            windows,
            options.batch_size,
            options.device,
            options.trust_code,
            advance,
        )


def _refuse(source, what, given):
    unused = [name for name, value in given.items() if value]
    if unused:
        raise LungSRADError(f"{source}: {', '.join(unused)} would change nothing for {what}; leave it out")
