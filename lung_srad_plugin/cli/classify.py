"""``lung-srad classify``: which recordings, with which model, to which output."""

from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.audio.merging import MERGING
from lung_srad_plugin.cli.options import EXPLAIN_METHODS, TrustCode, choice
from lung_srad_plugin.cli.result_output import ENDINGS
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.devices import PRECISIONS


def classify(
    context: typer.Context,
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
            help="Classify the cycles of the annotation beside each recording, or of the one that is named with a "
            "recording, and count the agreement: ICBHI, Audacity, Raven, TextGrid, SPRSound.",
        ),
    ] = False,
    format: Annotated[str, choice(list(ENDINGS), "json is one line for each file.")] = "table",
    output: Annotated[
        Path | None,
        typer.Option(
            help="Instead of printing: a folder for one result file for each recording, NAME.lung-srad.*; or one table "
            "of all recordings, which ends in .csv, .jsonl or .parquet and is resumed where it was stopped; or the "
            "result of one recording, which ends in .json, .TextGrid, .selections.txt (Raven) or .txt (Audacity).",
        ),
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
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Windows that go through the model at once; if left out 2, and 8 for a table of all recordings."
        ),
    ] = None,
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
    patients: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns patient, and wav or file: adds a row for each patient to a table."),
    ] = None,
    patient_pattern: Annotated[
        str | None,
        typer.Option(help="Instead: what names of recordings match, with a group (?P<patient>...); icbhi; sprsound."),
    ] = None,
    decoding_threads: Annotated[
        int, typer.Option(min=1, help="Recordings of a table that are decoded at once while the model computes.")
    ] = 1,
    settings: Annotated[
        Path | None,
        typer.Option(help="Take the settings of an earlier table, NAME.run.json; options that are given win."),
    ] = None,
):
    """Classify recordings of any length, sample rate and format that libsndfile or PyAV (extra formats) reads.

    The class is the most probable one. P(abnormal) is 1 - P(normal), so it can exceed 0.5 beside normal.

    lung-srad classify recording.wav

    lung-srad classify recording.wav --annotations listened.TextGrid

    lung-srad classify recording.wav --output recording.TextGrid

    lung-srad classify RECORDINGS --output all.csv
    """
    from lung_srad_plugin.cli.classify_archive import classify_to_table, is_table, merge_settings, refuse_patients
    from lung_srad_plugin.cli.classify_files import classify_files

    to_table = is_table(output)
    given = {
        **{"model": model, "annotations": annotations, "window": window, "hop": hop, "merging": merging},
        **{"calibrated": calibrated, "sensitivity": sensitivity, "device": device, "precision": precision},
        **{"batch_size": batch_size or (8 if to_table else 2), "decoding_threads": decoding_threads},
        **{"patients": patients, "patient_pattern": patient_pattern},
    }
    named = {name for name in given if _is_named(context, name)}
    used, expected = merge_settings(settings, given, named)
    chosen = format if _is_named(context, "format") else None
    if output is not None and to_table:
        if plot is not None or explain:
            raise LungSRADError("--plot and --explain draw single recordings; give --output a folder, or leave it out")
        code = classify_to_table(files, output, used, expected, chosen, trust_code)
    else:
        refuse_patients(used)
        method = explain_method if explain else None
        code = classify_files(files, used, chosen, output, plot, method, trust_code)
    raise typer.Exit(code)


def _is_named(context: typer.Context, name: str) -> bool:
    """Return whether an option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
