"""``lung-srad prepare`` and ``synthesize``, and ``validate``, ``join-manifests``, ``cut-manifest`` for manifests."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.cli.exit_codes import FAILED
from lung_srad_plugin.cli.options import choice
from lung_srad_plugin.datasets.icbhi.prepare import SPLITS, VALIDS
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.utils.files import refuse_foreign_files
from lung_srad_plugin.utils.text import printable, printable_lines

MANIFESTS = ("train.csv", "valid.csv", "test.csv", "summary.json")
TRUE, FALSE = "true", "false"  # as SpeechBrain's overrides write it
Strict = Annotated[str, choice((TRUE, FALSE), "false leaves out what is faulty and lists it.")]


def prepare(
    data_folder: Annotated[Path, typer.Argument(help="The ICBHI 2017 download or its Kaggle mirror, unpacked.")],
    save_folder: Annotated[Path, typer.Argument(help="Where to write the manifests.")],
    split: Annotated[
        str, choice(SPLITS, "corrected drops train recordings of the patients who are in test too.")
    ] = "official",
    valid: Annotated[str, choice(VALIDS, "test is the published protocol: it selects on the test set.")] = "patients",
    valid_fraction: Annotated[float, typer.Option(help="Share of train that becomes valid.")] = 0.2,
    folds: Annotated[int, typer.Option(help="For --split kfold.")] = 5,
    fold: Annotated[int, typer.Option(help="The fold that is the test set, from 0.")] = 0,
    test_device: Annotated[
        str | None, typer.Option(help="The device that is the test set, for --split device.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides which patients are drawn.")] = 1986,
    strict: Strict = TRUE,
):
    """Write train.csv, valid.csv, test.csv and summary.json for ICBHI 2017."""
    from lung_srad_plugin.datasets.icbhi.prepare import prepare_icbhi

    refuse_foreign_manifests(save_folder)
    prepare_icbhi(
        data_folder,
        save_folder,
        split=split,
        valid=valid,
        valid_fraction=valid_fraction,
        folds=folds,
        fold=fold,
        test_device=test_device,
        seed=seed,
        strict=strict == TRUE,
    )


def refuse_foreign_manifests(folder: Path, *names: str) -> None:
    """Refuse, before any work, a folder with manifests that lung-srad did not write.

    Arguments
    ---------
    folder : Path
    names : str
        Files that are written besides ``train.csv``, ``valid.csv``, ``test.csv`` and ``summary.json``.
    """
    folder = folder.expanduser()
    refuse_foreign_files(folder / name for name in (*MANIFESTS, *names))


def synthesize(
    folder: Annotated[Path, typer.Argument(help="Where to write: absent or empty.")],
    patients: Annotated[int, typer.Option(help="At least 5.")] = 24,
    recordings: Annotated[int, typer.Option(help="Of each patient, 1 to 7.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
):
    """Write an ICBHI-shaped folder of synthetic lung sounds: for trying out software, no medical data."""
    from lung_srad_plugin.datasets.synthetic.folder import synthesize_icbhi

    synthesize_icbhi(folder, patients=patients, recordings=recordings, seed=seed, progress=sys.stderr.isatty())


def join_manifests(
    joined: Annotated[Path, typer.Argument(help="The CSV manifest to write.")],
    name: Annotated[list[str], typer.Option(help="Of a data set; give the three options once for each.")],
    manifest: Annotated[list[Path], typer.Option(help="Its manifest.")],
    data_root: Annotated[list[Path], typer.Option(help="What {data_root} stands for in it.")],
):
    """Write one manifest with the rows of several data sets, whose names stand before patients and recordings."""
    from lung_srad_plugin.datasets.manifests import join_manifests as join

    if not len(name) == len(manifest) == len(data_root) or len(set(name)) < len(name):
        raise LungSRADError(
            f"{len(name)} --name ({', '.join(name)}), {len(manifest)} --manifest and {len(data_root)} --data-root; "
            "expected each of the three once for each data set, and every name once"
        )
    joined = joined.expanduser()
    refuse_foreign_files([joined])
    sources = [(csv.expanduser(), root.expanduser()) for csv, root in zip(manifest, data_root, strict=True)]
    count = join(dict(zip(name, sources, strict=True)), joined)
    print(f"{printable(joined)}: {count} rows of {', '.join(map(printable, name))}")


def cut_manifest(
    manifest: Annotated[Path, typer.Argument(help="A CSV manifest.")],
    cut: Annotated[Path, typer.Argument(help="The CSV manifest to write.")],
    seconds: Annotated[float, typer.Option(help="The length of a window, such as `duration` of the training.")],
):
    """Write a manifest whose longer rows are cut into windows with the row's label, for training on recordings."""
    from lung_srad_plugin.datasets.manifests import cut_manifest as cut_rows

    cut = cut.expanduser()
    refuse_foreign_files([cut])
    count = cut_rows(manifest.expanduser(), cut, seconds)
    print(f"{printable(cut)}: {count} rows of at most {seconds:g} s")


def validate(
    manifest: Annotated[Path, typer.Argument(help="A CSV manifest.")],
    labels: Annotated[
        str, typer.Option(help="The labels that may occur, with commas, the normal class first.")
    ] = ",".join(CLASSES),
    data_root: Annotated[Path | None, typer.Option(help="What {data_root} stands for.")] = None,
    check_files: Annotated[
        bool, typer.Option("--check-files/--no-check-files", help="Look at the header of each audio file.")
    ] = True,
):
    """Check a manifest and list everything that is wrong with it."""
    from lung_srad_plugin.datasets.manifests import validate_manifest

    if not manifest.is_file():
        raise LungSRADError(f"{manifest}: no such manifest")
    names = [label.strip() for label in labels.split(",")]
    try:
        summary = validate_manifest(manifest, names, data_root=data_root, check_files=check_files)
    except LungSRADError as error:
        print(f"error: {printable_lines(error)}", file=sys.stderr)
        raise typer.Exit(FAILED) from None
    counts = ", ".join(f"{count} {label}" for label, count in summary.labels.items())
    print(printable(f"{manifest}: {len(summary.rows)} cycles ({counts})"))
