"""``lung-srad evaluate``: from a run, several seeds or folds of it, a model or predictions to a report."""

import json
import sys
from pathlib import Path

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.cautions import patients_in_both
from lung_srad_plugin.evaluation.folds import are_folds, pool_folds
from lung_srad_plugin.evaluation.manifest_table import read_labels_map
from lung_srad_plugin.evaluation.page import HEADLINE, render_html, render_markdown
from lung_srad_plugin.evaluation.page_seeds import render_seeds_html, render_seeds_markdown
from lung_srad_plugin.evaluation.report import build_report
from lung_srad_plugin.evaluation.same_experiment import ExperimentRun
from lung_srad_plugin.evaluation.seeds import build_seeds_report
from lung_srad_plugin.evaluation.sources import is_run, load_model, load_predictions, load_run
from lung_srad_plugin.metrics.predictions import read_predictions, write_predictions
from lung_srad_plugin.reporting.pages import format_interval, format_summary, format_value
from lung_srad_plugin.runs.saved_settings import saved_settings
from lung_srad_plugin.utils.files import write_together


def evaluate(
    source,
    output,
    manifest=None,
    data_root=None,
    labels_map=None,
    valid=None,
    windows=False,
    against=(),
    resamples=10_000,
    confidence=95.0,
    seed=0,
    harmonic=False,
    batch_size=8,
    device=None,
):
    """Evaluate and write ``report.json``, ``report.md`` and ``report.html``, of a model ``predictions.csv`` too.

    Arguments
    ---------
    source : str or Path
        The output folder of a training run, which is reported as it was tested then; with ``manifest``, its exported
        model is used. Or a model folder, which needs a manifest. Or a predictions CSV, of whatever model.
    output : str or Path
        The folder to write to.
    manifest : str or Path, optional
        CSV of the cycles.
    data_root : str or Path, optional
        What ``{data_root}`` in it stands for.
    labels_map : str or Path, optional
        JSON, the manifest's labels to the model's, see ``read_labels_map``.
    valid : str or Path, optional
        Validation cycles to fit temperature and thresholds on: a manifest for a model, else a predictions CSV.
    windows : bool
        Hear cycles longer than the model's duration in overlapping windows, instead of cutting them.
    against : sequence of str or Path
        Other models on the same cycles, for paired differences: a predictions CSV, or the output folder of a run.
    resamples, confidence, seed
        As in ``bootstrap``.
    harmonic : bool
        Add the harmonic scores of the SPRSound challenge.
    batch_size : int
        Cycles that go through the model at once.
    device : str, optional
        For the model, such as ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    dict
        The report, as in ``report.json``.

    Raises
    ------
    LungSRADError
        Where the arguments do not fit together, or data, model or predictions are faulty.
    """
    source, output = Path(source), Path(output)
    found = _load(source, manifest, data_root, labels_map, valid, windows, batch_size, device)
    said = {} if manifest is None or source.is_file() else {"predictions.csv": found.selections[0].table}
    return _report(found, output, against, resamples, confidence, seed, harmonic, said)


def evaluate_runs(
    runs,
    output,
    manifest=None,
    data_root=None,
    labels_map=None,
    valid=None,
    windows=False,
    against=(),
    resamples=10_000,
    confidence=95.0,
    seed=0,
    harmonic=False,
    batch_size=8,
    device=None,
):
    """Evaluate several runs of one experiment together, and write one report.

    Runs that differ in their seed give mean, standard deviation and each seed; with a manifest,
    ``predictions_seed_<seed>.csv`` of each model is written too. Runs that are the folds of a cross-validation (split
    ``kfold``, or ``device`` with another device left out each time) are pooled: each cycle is answered by the model
    that was trained without it, and ``predictions.csv`` has them all.

    Arguments
    ---------
    runs : sequence of (str or Path)
        The output folders of training runs, two or more.
    output, manifest, data_root, labels_map, valid, windows, against, resamples, confidence, seed, harmonic, batch_size,
    device
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
    runs, output = [Path(run) for run in runs], Path(output)
    if len(runs) < 2:
        raise LungSRADError(f"{len(runs)} runs: expected two or more; a single one has a report of its own")
    for run in runs:
        if not is_run(run):
            raise LungSRADError(f"{run}: not the output folder of a finished training run; among several, each is one")
    found = [
        ExperimentRun(
            run,
            _load(run, manifest, data_root, labels_map, valid, windows, batch_size, device),
            saved_settings(run / "hyperparams.yaml"),
        )
        for run in runs
    ]
    if are_folds(found):
        if manifest is not None:
            raise LungSRADError(
                f"{manifest}: the folds of a cross-validation answer their own test cycles; leave it out"
            )
        pooled = pool_folds(found)
        said = {"predictions.csv": pooled.selections[0].table}
        return _report(pooled, output, against, resamples, confidence, seed, harmonic, said)
    others = _read_others(against, found[0].source.selections[0].table.labels)
    report = build_seeds_report(found, resamples, confidence, seed, harmonic, others)
    texts = {
        "report.json": _json(report),
        "report.md": render_seeds_markdown(report),
        "report.html": render_seeds_html(report),
    }
    said = {f"predictions_seed_{run.seed}.csv": run.source.selections[0].table for run in found if manifest is not None}
    _write(output, texts, said)
    return report


def _report(source, output, against, resamples, confidence, seed, harmonic, predictions):
    """Build and write the report of a ``Source``, with predictions by name of file."""
    others = _read_others(against, source.selections[0].table.labels)
    report = build_report(source, resamples, confidence, seed, harmonic, others)
    texts = {
        "report.json": _json(report),
        "report.md": render_markdown(report),
        "report.html": render_html(report),
    }
    _write(output, texts, predictions)
    return report


def print_summary(report, output):
    """Print the headline of a report, of one source or over seeds, and where to read on."""
    if "seeds" in report:
        _print_seeds(report)
    else:
        _print_one(report)
    for caution in report["cautions"]:
        print(f"note: {caution}")
    print(Path(output) / "report.html")


def _print_one(report):
    evaluation, main = report["evaluation"], report["selections"][0]
    print(f"{report['title']} on {report['data']}: {evaluation['cycles']} cycles of {evaluation['patients']} patients")
    optimistic = " (optimistic: picked on these cycles)" if main["optimistic"] else ""
    print(f"epoch {main['epoch']}, {main['text']}{optimistic}")
    _print_protocol(report)
    for name, definition in report["definitions"].items():
        if name in evaluation["measures"]:
            value = format_interval(evaluation["measures"][name], definition["unit"])
            print(f"  {definition['title']:<34}{value}{' ' + definition['unit'] if definition['unit'] else ''}")


def _print_seeds(report):
    print(f"{report['title']} on {report['data']}: {report['cycles']} cycles of {report['patients']} patients")
    print(f"seeds {', '.join(map(str, report['seeds']))}: mean ± standard deviation (each seed)")
    _print_protocol(report)
    for selection in report["selections"]:
        print(f"{selection['rule']}: {selection['text']}")
        for name in HEADLINE:
            summary, definition = selection["measures"][name], report["definitions"][name]
            each = ", ".join(format_value(value, decimals=2) for value in summary["values"].values())
            print(f"  {definition['title']:<34}{format_summary(summary)} {definition['unit']}  ({each})")


def _print_protocol(report):
    """Print the split with its hash and the patients on both sides, and how labels were read."""
    protocol = report["protocol"]
    if protocol.get("split"):
        where = "" if report["of_training"] else " of the model's training"
        sha256 = f", SHA-256 {protocol['split_sha256']}" if protocol.get("split_sha256") else ""
        print(f"split{where}: {protocol['split']}{sha256}")
    for pair, patients in patients_in_both(protocol).items():
        print(f"  patients in {pair}: {patients or 'none'}")
    if report["labels_map"] is not None:
        for label, target in report["labels_map"].items():
            print(f"  label {label!r} read as {target if target is not None else 'nothing: left out'}")


def _read_others(against, labels):
    """Return the predictions to compare with by name: files, and what the epochs picked first of runs say."""
    others = {}
    for path in map(Path, against):
        if is_run(path):
            first = load_run(path).selections[0]
            name, table = f"{path.resolve().parent.name}/{path.resolve().name}, {first.rule}-selected", first.table
        else:
            name, table = path.stem, read_predictions(path, labels)
        if name in others:
            raise LungSRADError(f"--against {path}: another has the name {name} too; rename one, to tell them apart")
        others[name] = table
    return others


def _json(report):
    return json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _write(output, texts, predictions):
    try:
        write_together({output / name: text for name, text in texts.items()})
        for name, table in predictions.items():
            write_predictions(table, output / name)
    except OSError as error:
        raise LungSRADError(f"{output}: cannot be written ({error.strerror or error})") from error


def _load(source, manifest, data_root, labels_map, valid, windows, batch_size, device):
    if source.is_file():
        _refuse(source, "predictions", {"--labels-map": labels_map, "--windows": windows, "--device": device})
        return load_predictions(source, manifest, data_root, valid)
    if is_run(source) and manifest is None:
        given = {"--data-root": data_root, "--labels-map": labels_map, "--valid": valid, "--windows": windows}
        _refuse(source, "the test cycles of a run, which were classified when it was trained", given)
        return load_run(source)
    model = source / "export" if is_run(source) else source
    if manifest is None:
        raise LungSRADError(
            f"{source}: not the output folder of a finished training run nor a file of predictions; to evaluate a "
            "model, give a manifest too"
        )
    return load_model(
        model,
        manifest,
        data_root,
        None if labels_map is None else read_labels_map(labels_map),
        valid,
        windows,
        batch_size=batch_size,
        run_opts=None if device is None else {"device": device},
        progress=_progress if sys.stderr.isatty() else None,
    )


def _refuse(source, what, given):
    unused = [name for name, value in given.items() if value]
    if unused:
        raise LungSRADError(f"{source}: {', '.join(unused)} would change nothing for {what}; leave it out")


def _progress(done, total):
    print(f"\r{done} of {total} cycles", end="\n" if done == total else "", file=sys.stderr, flush=True)
