"""``lung-srad evaluate``: from a run, a model or predictions to a report in JSON, Markdown and HTML."""

import json
import sys
from pathlib import Path

from lung_srad_plugin.datasets.atomic import write_together
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.manifest_table import read_labels_map
from lung_srad_plugin.evaluation.predictions import read_predictions, write_predictions
from lung_srad_plugin.evaluation.render import render_html, render_markdown
from lung_srad_plugin.evaluation.report import build_report
from lung_srad_plugin.evaluation.sources import is_run, load_model, load_predictions, load_run
from lung_srad_plugin.pages import format_interval


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
        Predictions CSV of other models on the same cycles, for paired differences.
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
    others = {Path(path).stem: read_predictions(path, found.selections[0].table.labels) for path in against}
    if len(others) < len(against):
        raise LungSRADError("two files of --against have one name; rename one, so that the report can tell them apart")
    report = build_report(found, resamples, confidence, seed, harmonic, others)
    texts = {
        "report.json": json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "report.md": render_markdown(report),
        "report.html": render_html(report),
    }
    try:
        write_together({output / name: text for name, text in texts.items()})
        if manifest is not None and not source.is_file():
            write_predictions(found.selections[0].table, output / "predictions.csv")
    except OSError as error:
        raise LungSRADError(f"{output}: cannot be written ({error.strerror or error})") from error
    return report


def print_report(report, output):
    """Print the headline of a report and where to read on."""
    evaluation, main = report["evaluation"], report["selections"][0]
    print(f"{report['title']} on {report['data']}: {evaluation['cycles']} cycles of {evaluation['patients']} patients")
    optimistic = " (optimistic: picked on these cycles)" if main["optimistic"] else ""
    print(f"epoch {main['epoch']}, {main['text']}{optimistic}")
    if report["labels_map"] is not None:
        for label, target in report["labels_map"].items():
            print(f"  label {label!r} read as {target if target is not None else 'nothing: left out'}")
    for name, definition in report["definitions"].items():
        if name in evaluation["measures"]:
            value = format_interval(evaluation["measures"][name], definition["unit"])
            print(f"  {definition['title']:<34}{value}{' ' + definition['unit'] if definition['unit'] else ''}")
    for caution in report["cautions"]:
        print(f"note: {caution}")
    print(Path(output) / "report.html")


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
