"""``lung-srad classify``: which recordings, with which model, to which output."""

from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.audio.merging import MERGING
from lung_srad_plugin.cli.options import EXPLAIN_METHODS, TrustCode, choice
from lung_srad_plugin.cli.result_output import ENDINGS
from lung_srad_plugin.utils.devices import PRECISIONS


def classify(
    files: Annotated[list[str], typer.Argument(help="Recordings, folders of them, or patterns such as 'a/*.wav'.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            envvar="LUNG_SRAD_MODEL",
            help="A model folder, a hub id owner/name, or starter: the model that comes with lung-srad, which is used "
            "where none is named.",
        ),
    ] = None,
    annotations: Annotated[
        bool,
        typer.Option(
            "--annotations",
            help="Classify the cycles of the annotation beside each file: ICBHI, Audacity, Raven, TextGrid, SPRSound.",
        ),
    ] = False,
    format: Annotated[str, choice(list(ENDINGS), "json is one line for each file.")] = "table",
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for one result file for each recording, NAME.lung-srad.*, instead of printing."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Folder for a picture of each recording.")] = None,
    window: Annotated[
        float | None,
        typer.Option(help="Seconds of a window; what the model recommends if left out, else its input length."),
    ] = None,
    hop: Annotated[
        float | None,
        typer.Option(help="Seconds from one window to the next; what the model recommends if left out, else 4."),
    ] = None,
    merging: Annotated[
        str | None,
        choice(MERGING, "What overlapping windows give together; what the model recommends if left out, else mean."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Put a map of where P(abnormal) comes from into the picture of --plot.")
    ] = False,
    explain_method: Annotated[
        str,
        choice(
            EXPLAIN_METHODS,
            "mixing: for encoders with SS2D layers; gradients, occlusion: by captum, for every encoder, slower.",
        ),
    ] = EXPLAIN_METHODS[0],
    batch_size: Annotated[int, typer.Option(min=1, help="Windows that go through the model at once.")] = 2,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Apply the temperature fitted on the model's validation cycles.")
    ] = False,
    sensitivity: Annotated[
        float | None,
        typer.Option(
            help="Call abnormal what reaches the threshold that was fitted for this sensitivity, in percent, on the "
            "model's validation cycles."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; the best there is if left out.")] = None,
    precision: Annotated[str, choice(PRECISIONS, "Of the computation.")] = "fp32",
    trust_code: TrustCode = False,
):
    """Classify recordings of any length, sample rate and format that libsndfile or PyAV (extra formats) reads.

    The class is the most probable one. P(abnormal) is 1 - P(normal), so it can exceed 0.5 beside normal.
    """
    from lung_srad_plugin.cli.classify_files import ClassifyOptions, classify_files

    run_opts = {"precision": precision} if device is None else {"precision": precision, "device": device}
    method = explain_method if explain else None
    options = ClassifyOptions(annotations, hop, batch_size, calibrated, sensitivity, window, merging, method)
    raise typer.Exit(classify_files(files, model, run_opts, options, format, output, plot, trust_code))
