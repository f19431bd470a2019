"""``lung-srad screen``: which archive, to where, with which model, on which machines."""

import sys
from typing import Annotated

import typer

from lung_srad_plugin.audio.merging import MERGING
from lung_srad_plugin.cli.exit_codes import FAILED, INTERRUPTED
from lung_srad_plugin.cli.options import TrustCode, choice
from lung_srad_plugin.utils.devices import PRECISIONS

EXAMPLES = """Examples:

    lung-srad screen RECORDINGS results

    lung-srad screen s3://archive/2025 s3://archive/screened --address auto

    lung-srad screen list.csv results --path-column file --actors 8

    lung-srad screen gs://archive results MODEL --gpus-per-actor 0.125 --batch-size 64
"""


def screen(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of recordings, here or in an object store (s3://, gs://, abfs://, az://), or a list of "
            "paths (.csv, .parquet)."
        ),
    ],
    destination: Annotated[str, typer.Argument(help="A folder, here or in an object store, for the results.")],
    model: Annotated[
        str | None,
        typer.Argument(
            envvar="LUNG_SRAD_MODEL",
            help="A model folder, a hub id owner/name, or starter, which is used where none is named.",
        ),
    ] = None,
    path_column: Annotated[str | None, typer.Option(help="Column of a list; path if left out.")] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Of a Ray cluster, host:port or auto; if left out, Ray runs on this machine alone."),
    ] = None,
    actors: Annotated[
        int | None, typer.Option(min=1, help="Workers, each with the model; as many as there are CPUs if left out.")
    ] = None,
    gpus_per_actor: Annotated[
        float, typer.Option(min=0.0, help="GPUs of each worker; 0.25 lets four share one, 0 computes on CPUs.")
    ] = 0.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows that go through the model at once.")] = 2,
    window: Annotated[float | None, typer.Option(help="As of lung-srad classify.")] = None,
    hop: Annotated[float | None, typer.Option(help="As of lung-srad classify.")] = None,
    merging: Annotated[str | None, choice(MERGING, "As of lung-srad classify.")] = None,
    calibrated: Annotated[bool, typer.Option("--calibrated", help="As of lung-srad classify.")] = False,
    sensitivity: Annotated[float | None, typer.Option(help="As of lung-srad classify.")] = None,
    precision: Annotated[str, choice(PRECISIONS, "Of the computation.")] = "fp32",
    retry_bad: Annotated[bool, typer.Option("--retry-bad", help="Try recordings again that failed before.")] = False,
    part_seconds: Annotated[
        float,
        typer.Option(min=0.0, help="From one part of the results to the next; what is not written is done again."),
    ] = 60.0,
    object_store_mb: Annotated[
        int, typer.Option(min=80, help="Memory for recordings that wait for workers, where Ray runs here, in MB.")
    ] = 500,
    trust_code: TrustCode = False,
):
    """Classify an archive on one machine or many, by Ray Data, and write the results as Parquet.

    The destination gets rows/ (a row for each segment, as the CSV of classify), recordings/ (a row for each recording)
    and bad/ (recordings without a result, and why). The same command resumes after a stop, and does no recording twice.
    Needs the extra screen.
    """
    from lung_srad_plugin.cli.model_notes import print_model_notes
    from lung_srad_plugin.screening.command import ScreenOptions
    from lung_srad_plugin.screening.command import screen as run
    from lung_srad_plugin.screening.engine import EngineOptions, require_ray
    from lung_srad_plugin.screening.worker import ScreenSettings
    from lung_srad_plugin.utils.progress import progress_bars

    require_ray()
    options = ScreenOptions(
        settings=ScreenSettings(
            window=window,
            hop=hop,
            merging=merging,
            calibrated=calibrated,
            sensitivity=sensitivity,
            precision=precision,
        ),
        batch_size=batch_size,
        path_column=path_column,
        retry_bad=retry_bad,
        part_seconds=part_seconds,
        trust_code=trust_code,
        engine=EngineOptions(address, actors, gpus_per_actor, object_store_mb),
    )
    cure = None if model is not None else "a third argument names another"
    with progress_bars() as progress:
        task = progress.add_task("recordings", total=None)
        result = run(
            *(source, destination, model, options),
            on_model=lambda classifier: print_model_notes(classifier, cure),
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    for line in result.lines(destination):
        print(line, file=sys.stderr)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(FAILED if result.counts["bad"] else 0)
