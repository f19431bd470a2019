"""Cycles without labels, which take part in a distillation alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from lung_srad_plugin.datasets.manifests import read_manifest, validate_manifest
from lung_srad_plugin.errors import LungSRADError

UNLABELLED = -100
"""The target of a cycle without a label: the one that torch's cross-entropy leaves out."""


def read_unlabelled(
    hparams: Mapping[str, Any], rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Return the rows of ``unlabelled_csv`` with None as label, whatever that column holds; none without the setting.

    Arguments
    ---------
    hparams : Mapping
        The built experiment.
    rows : Mapping
        The rows of the other manifests by part.

    Raises
    ------
    LungSRADError
        Where the manifest is faulty, or has cycles of another part: those of train have labels, and what the encoder
        has seen of the others would no longer be unseen.
    """
    path, data_root = hparams["unlabelled_csv"], hparams["data_folder"]
    if path is None:
        return []
    labels = {row["label"] for row in read_manifest(path, data_root)}
    found = validate_manifest(path, sorted(labels), data_root).rows
    for part, of_part in rows.items():
        ids, cycles = {row["ID"] for row in of_part}, {_cycle(row) for row in of_part}
        both = [row["ID"] for row in found if row["ID"] in ids or _cycle(row) in cycles]
        if both:
            raise LungSRADError(
                f"{path}: {len(both)} of its cycles, such as {both[0]}, are in {part} too, or have the ID of one; "
                "leave them out"
            )
    return [{**row, "label": None} for row in found]


def _cycle(row):
    return row["wav"], row["start"], row["stop"]
