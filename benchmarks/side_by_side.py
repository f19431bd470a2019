"""A table of encoders side by side: scores of their reports, parameters, and the time of one clip on one core.

    python benchmarks/side_by_side.py results/sprsound_cnn/1 results/sprsound/1 --report report/inter

Each argument is the output folder of a finished run, whose export is timed and whose report is read (--report: that
on one of its test sets); or a model and the folder of a report on it, MODEL=FOLDER, as lung-srad evaluate MODEL ...
--output FOLDER writes it. The table is Markdown. All models take turns with one clip of their own input length, from
samples to probabilities; a run without an exported model, such as a head on a table of embeddings, has scores alone.
"""

import argparse
import json
from pathlib import Path

import torch
from measuring import time_in_turns

from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.reporting.pages import format_interval
from lung_srad_plugin.runs.run_folder import RunFolder

METRICS = ("auroc_abnormal", "auroc_crackle", "auroc_wheeze", "score_strict_class", "score_any_abnormal")


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="the output folder of a run, or MODEL=FOLDER")
    parser.add_argument("--report", default="report", help="folder of the report in a run's (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=11, help="clips of each (default %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = [locate(run, arguments.report) for run in arguments.runs]
    reports = [read_report(folder) for _, folder in found]
    models = [load(model, report) for (model, _), report in zip(found, reports, strict=True)]
    jobs = [clip_job(model) for model in models if model is not None]
    times = iter(time_in_turns(jobs, arguments.repeats))
    titles = [reports[0]["definitions"][name]["title"] for name in METRICS if name in reports[0]["definitions"]]
    print(f"| model | encoder | parameters, million | ms a clip | cycles, patients | {' | '.join(titles)} |")
    print("|" + "---|" * (5 + len(titles)))
    for report, model in zip(reports, models, strict=True):
        print(row(report, model, None if model is None else next(times)))


def locate(text, report):
    """Return the model, None where a run has none, and the folder of the report that an argument means."""
    model, sign, folder = text.partition("=")
    if sign:
        return model, Path(folder)
    run = RunFolder(text)
    return (run.export if run.export.is_dir() else None), run.path / report


def load(source, report):
    """Return the classifier of a model; refuse one that the report is not on."""
    if source is None:
        return None
    model = LungSoundClassifier.from_hparams(source=source, run_opts={"device": "cpu"})
    if report["title"] not in (model.config.model, model.config.experiment):
        raise SystemExit(f"{source}: this is {model.config.model}, but the report is on {report['title']}")
    return model


def read_report(folder):
    """Return what ``report.json`` of a folder holds."""
    path = folder / "report.json"
    if not path.is_file():
        raise SystemExit(f"{path}: no such file; `lung-srad evaluate` writes it")
    return json.loads(path.read_text(encoding="utf-8"))


def clip_job(model):
    """Return a call that classifies one clip as long as the model's input."""
    clip = 0.1 * torch.randn(1, round(model.window * model.sample_rate), generator=torch.Generator().manual_seed(0))
    return lambda: model.classify_batch(clip)


def row(report, model, seconds):
    """Return one line of the table."""
    evaluation = report["evaluation"]
    cells = [report["title"], "-", "-", "-", f"{evaluation['cycles']} of {evaluation['patients']}"]
    if model is not None:
        encoder = model.mods.embedding_model
        parameters = sum(parameter.numel() for parameter in encoder.parameters()) / 1e6
        cells[1:4] = [type(encoder).__name__.removesuffix("Encoder"), f"{parameters:.2f}", f"{1000 * seconds:.1f}"]
    for name in METRICS:
        if name in report["definitions"]:
            cells.append(format_interval(evaluation["measures"][name], report["definitions"][name]["unit"]))
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
