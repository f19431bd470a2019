"""``lung-srad evaluate``: what is to be evaluated, and how."""

from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.cli.options import TrustCode
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.folders import shorten_name


def evaluate(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="The output folder of a training run, or several of one experiment over seeds or folds; or a model "
            "folder; or starter, the model that comes with lung-srad; or a predictions CSV. Then, if wanted, the "
            "cycles as CSV: runs without it are reported on their test cycles.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")] = Path("evaluation"),
    data_root: Annotated[
        Path | None,
        typer.Option(
            help="What {data_root} in the manifest stands for; for a run without one in its test manifest, to hear its "
            "errors."
        ),
    ] = None,
    labels_map: Annotated[
        Path | None, typer.Option(help="JSON: the manifest's labels to the model's, null for rows to leave out.")
    ] = None,
    valid: Annotated[
        Path | None, typer.Option(help="Validation cycles for temperature and thresholds: a manifest, or predictions.")
    ] = None,
    windows: Annotated[
        bool, typer.Option("--windows", help="Process long cycles in overlapping windows instead of cutting them.")
    ] = False,
    test_set: Annotated[
        str | None, typer.Option(help="The name of the test set to report on, for runs that have several.")
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="Another run, or predictions CSV, on the same cycles. May be repeated.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Resamples of patients for the intervals.")] = 10_000,
    confidence: Annotated[float, typer.Option(help="Of the intervals, in percent.")] = 95.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    harmonic: Annotated[
        bool, typer.Option("--harmonic", help="Add the SPRSound challenge's harmonic scores and its Score.")
    ] = False,
    worst_cycles: Annotated[
        int,
        typer.Option(
            min=0,
            help="The most confident errors that the report shows, report.html with their sounds where the recordings "
            "are at hand; 0 for none.",
        ),
    ] = 8,
    batch_size: Annotated[int, typer.Option(min=1, help="Cycles that go through the model at once.")] = 8,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; the best there is if left out.")] = None,
    trust_code: TrustCode = False,
):
    """Evaluate a run, several seeds or folds of it, a model or predictions: report.html, report.md and report.json."""
    from lung_srad_plugin.evaluation import command
    from lung_srad_plugin.evaluation.console import print_summary
    from lung_srad_plugin.evaluation.options import EvaluationOptions
    from lung_srad_plugin.inference.starter_model import model_path
    from lung_srad_plugin.metrics.bootstrap import Bootstrap

    folders, manifest = split_sources([model_path(source) for source in sources])
    options = EvaluationOptions(
        manifest=manifest,
        data_root=data_root,
        labels_map=labels_map,
        valid=valid,
        windows=windows,
        test_set=test_set,
        against=tuple(against or ()),
        bootstrap=Bootstrap(resamples, confidence, seed),
        harmonic=harmonic,
        batch_size=batch_size,
        device=device,
        trust_code=trust_code,
        worst_cycles=worst_cycles,
    )
    if len(folders) > 1:
        report = command.evaluate_runs(folders, output, options)
    else:
        report = command.evaluate(folders[0], output, options)
    print_summary(report, output)


def split_sources(paths):
    """Return what is to be evaluated and the manifest, None where there is none: it is a file and comes last.

    Raises
    ------
    LungSRADError
        Where there are several sources, and one is not a folder, or a name is one that no file can have.

    Example
    -------
    >>> split_sources([Path("model"), Path("test.csv")])
    ([PosixPath('model')], PosixPath('test.csv'))
    """
    for path in paths:
        try:
            path.exists()
        except OSError as error:
            raise LungSRADError(f"{shorten_name(path)}: cannot be found ({error.strerror})") from None
    *sources, last = paths
    if not sources or last.is_dir():
        sources, manifest = paths, None
    else:
        manifest = last
    files = [str(source) for source in sources if not source.is_dir()]
    if len(sources) > 1 and files:
        raise LungSRADError(
            f"{', '.join(files)}: no such folder; expected one source, or the output folders of several runs, and then "
            "at most one manifest"
        )
    return sources, manifest
