"""``lung-srad datasets``, and the commands that prepare SPRSound, KAUH, HF_Lung and one's own recordings."""

from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.annotations.prepare import PATIENTS
from lung_srad_plugin.annotations.prepare import SPLITS as OWN_SPLITS
from lung_srad_plugin.cli.options import choice
from lung_srad_plugin.cli.prepare import TRUE, Strict, refuse_foreign_manifests
from lung_srad_plugin.datasets.kauh.prepare import MIXED_CHOICES, SPLITS
from lung_srad_plugin.datasets.sprsound.tasks import TASKS

Mixed = Annotated[str, choice(MIXED_CHOICES, "What recordings labelled I C B and I C E W are.")]


def datasets(
    name: Annotated[str | None, typer.Argument(help="A data set, to print all that is known of it.")] = None,
):
    """Print the data sets that can be prepared, or one of them in full."""
    from dataclasses import fields

    from rich.console import Console
    from rich.table import Table

    from lung_srad_plugin.datasets.catalogue import DATA_SETS, find_data_set

    if name is None:
        table = Table("name", "content", "sampling rate", "labels", "licence", show_lines=True)
        for record in DATA_SETS.values():
            labels = ", ".join(record.labels)
            table.add_row(record.name, record.content, record.sampling_rate, labels, record.licence)
        Console().print(table)
        return
    record = find_data_set(name)
    table = Table.grid(padding=(0, 2))
    for field in fields(record):
        if field.name in ("name_pattern", "has_recipe"):
            continue
        value = getattr(record, field.name)
        if field.name == "checksums":
            value = "\n".join(f"{file}: {digest}" for file, digest in value.items()) or "none published"
        table.add_row(field.name.replace("_", " "), ", ".join(value) if isinstance(value, tuple) else value)
    Console(markup=False).print(table)


def prepare_sprsound(
    data_folder: Annotated[Path, typer.Argument(help="The SPRSound download, unpacked; wav or flac.")],
    save_folder: Annotated[Path, typer.Argument(help="Where to write the manifests.")],
    task: Annotated[
        str,
        choice(
            list(TASKS),
            "4class: normal, crackle, wheeze, both. Of the challenge: 1-1, 1-2 events, 2-1, 2-2 whole recordings.",
        ),
    ] = "4class",
    valid_fraction: Annotated[float, typer.Option(help="Share of train, by patients, that becomes valid.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Decides which patients are drawn.")] = 1986,
    strict: Strict = TRUE,
):
    """Write train.csv, valid.csv, test_intra.csv, test_inter.csv and summary.json for SPRSound."""
    from lung_srad_plugin.datasets.sprsound.prepare import prepare_sprsound as prepare

    refuse_foreign_manifests(save_folder, "test_intra.csv", "test_inter.csv")
    prepare(
        data_folder,
        save_folder,
        task=task,
        valid_fraction=valid_fraction,
        seed=seed,
        strict=strict == TRUE,
    )


def prepare_kauh(
    data_folder: Annotated[Path, typer.Argument(help="The KAUH download, unpacked.")],
    save_folder: Annotated[Path, typer.Argument(help="Where to write kauh.csv and labels_map.json.")],
    mixed: Mixed,
    split: Annotated[
        str, choice(SPLITS, "patients: also train.csv, valid.csv and test.csv, divided by subject.")
    ] = "none",
    valid_fraction: Annotated[float, typer.Option(help="Share of the subjects, for --split patients.")] = 0.2,
    test_fraction: Annotated[float, typer.Option(help="Share of the subjects, for --split patients.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Decides which subjects are drawn.")] = 1986,
):
    """Write a manifest of the KAUH recordings and the mapping of their labels, and parts for training if wanted."""
    from lung_srad_plugin.datasets.kauh.prepare import prepare_kauh as prepare

    refuse_foreign_manifests(save_folder, "kauh.csv", "labels_map.json")
    return prepare(
        data_folder,
        save_folder,
        mixed,
        split=split,
        valid_fraction=valid_fraction,
        test_fraction=test_fraction,
        seed=seed,
    )


def prepare_hf_lung(
    data_folder: Annotated[Path, typer.Argument(help="HF_Lung_V1, or it and HF_Lung_V1_IP side by side (V2).")],
    save_folder: Annotated[Path, typer.Argument(help="Where to write the manifests.")],
    valid_fraction: Annotated[float, typer.Option(help="Share of train, by dates, that becomes valid.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Decides which dates are drawn.")] = 1986,
    strict: Strict = TRUE,
):
    """Write train.csv, valid.csv, test.csv and summary.json for HF_Lung V1 or V2: breath phases in four classes."""
    from lung_srad_plugin.datasets.hf_lung.prepare import prepare_hf_lung as prepare

    refuse_foreign_manifests(save_folder)
    prepare(data_folder, save_folder, valid_fraction=valid_fraction, seed=seed, strict=strict == TRUE)


def prepare_own(
    data_folder: Annotated[Path, typer.Argument(help="Recordings, each with an annotation of its name beside it.")],
    save_folder: Annotated[Path, typer.Argument(help="Where to write all.csv, the parts and summary.json.")],
    patients: Annotated[
        str,
        choice(PATIENTS, "Whose a recording is: its name before the first underscore, its folder, or nobody else's."),
    ],
    labels_map: Annotated[
        Path | None, typer.Option(help="JSON: labels to normal, crackle, wheeze or both; null for what to leave out.")
    ] = None,
    split: Annotated[
        str, choice(OWN_SPLITS, "patients: also train.csv, valid.csv and test.csv, divided by patient.")
    ] = OWN_SPLITS[0],
    valid_fraction: Annotated[float, typer.Option(help="Share of the patients, for --split patients.")] = 0.2,
    test_fraction: Annotated[float, typer.Option(help="Share of the patients, for --split patients.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Decides which patients are drawn.")] = 1986,
    strict: Strict = TRUE,
):
    """Write manifests of annotated recordings: annotations of ICBHI, Audacity, Raven, Praat and SPRSound."""
    from lung_srad_plugin.annotations.prepare import prepare_own as prepare
    from lung_srad_plugin.evaluation.manifest_table import read_labels_map

    refuse_foreign_manifests(save_folder, "all.csv")
    prepare(
        data_folder,
        save_folder,
        patients,
        labels_map=None if labels_map is None else read_labels_map(labels_map),
        split=split,
        valid_fraction=valid_fraction,
        test_fraction=test_fraction,
        seed=seed,
        strict=strict == TRUE,
    )
