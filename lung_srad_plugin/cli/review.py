"""``lung-srad review``: the page on which a person labels segments, and what becomes of the labels."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.errors import LungSRADError


def review(
    folder: Annotated[Path, typer.Argument(help="Of segments, as lung-srad segments writes it.")],
    reviewer: Annotated[
        str | None,
        typer.Option(help="Who labels; your user name if left out. With --export, whose labels are taken alone."),
    ] = None,
    blind: Annotated[
        bool, typer.Option("--blind", help="Do not show what the model says, which sways whoever listens.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of this machine; 0 for any that is free.")] = 7870,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write the labels as a manifest that training reads, and open no page.")
    ] = None,
    agreement: Annotated[
        bool, typer.Option("--agreement", help="Print how far reviewers agree (Cohen's kappa), and open no page.")
    ] = False,
    manifest: Annotated[
        Path | None, typer.Option(help="For --export: a manifest that names the patient of each recording.")
    ] = None,
    patient_pattern: Annotated[
        str | None,
        typer.Option(
            help="For --export: regular expression of the patient in a recording's name, by its first group, such as "
            "'^([^_]+)_'."
        ),
    ] = None,
    no_patients: Annotated[bool, typer.Option("--no-patients", help="For --export: without a column patient.")] = False,
    data_root: Annotated[
        Path | None, typer.Option(help="For --export: the folder that becomes {data_root} in the manifests.")
    ] = None,
):
    """Label segments by ear, on a page with a key for each class; every label is on disk at once.

    The page is reached from this machine alone. Needs the extra serve; --export and
    --agreement do not.

    lung-srad review clips --open

    lung-srad review clips --reviewer Koch --blind

    lung-srad review clips --export mine.csv --patient-pattern '^([^_]+)_'
    """
    if export is None:
        given = {"--manifest": manifest, "--patient-pattern": patient_pattern, "--data-root": data_root}
        if unused := [name for name, value in {**given, "--no-patients": no_patients}.items() if value]:
            raise LungSRADError(f"{', '.join(unused)}: only for --export MANIFEST")
    if export is not None or agreement:
        if blind or open_browser:
            raise LungSRADError("--blind and --open are of the page, and --export and --agreement open none")
        from lung_srad_plugin.cli.review_results import export_labels, print_agreement

        if agreement:
            print_agreement(folder)
        if export is not None:
            if no_patients and (manifest or patient_pattern):
                raise LungSRADError("--no-patients: leave out --manifest and --patient-pattern, or leave it out")
            export_labels(folder, export.expanduser(), reviewer, manifest, data_root, patient_pattern, no_patients)
        return
    try:
        from lung_srad_plugin.review.server import run_review
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("lung_srad_plugin"):
            raise
        raise LungSRADError(
            f'{error.name} is not installed; lung-srad review needs: pip install "lung-srad[serve]"'
        ) from error
    run_review(folder, reviewer or getpass.getuser(), blind, port, open_browser)
