"""What becomes of a review: a manifest that training reads, and how far reviewers agree."""

from collections import Counter
from pathlib import Path

from lung_srad_plugin.datasets.manifests import write_manifest
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.review.agreement import measure_agreement
from lung_srad_plugin.review.decisions import DECISIONS, DecisionLog
from lung_srad_plugin.review.segments_table import read_segments
from lung_srad_plugin.review.training_manifest import find_patients, manifest_rows, settle_labels
from lung_srad_plugin.utils.files import refuse_foreign_files
from lung_srad_plugin.utils.text import printable


def export_labels(
    folder: Path,
    path: Path,
    reviewer: str | None = None,
    manifest: Path | None = None,
    data_root: Path | None = None,
    pattern: str | None = None,
    no_patients: bool = False,
) -> None:
    """Write the labels of a folder as a manifest, and print what is in it and what is not.

    Arguments
    ---------
    folder : Path
        Of segments.
    path : Path
        The manifest to write.
    reviewer : str or None
        Whose labels are taken; None takes those that all who decided agree on.
    manifest, data_root, pattern
        As for ``find_patients``.
    no_patients : bool
        Write no column ``patient``.

    Raises
    ------
    LungSRADError
        Where there is no label, a patient is not known, or somebody else's file is there.
    """
    refuse_foreign_files([path])
    segments = read_segments(folder)
    decisions = DecisionLog(folder, {row.ID: row.predicted for row in segments}).latest()
    found = settle_labels(segments, decisions, reviewer)
    labelled = [row for row in segments if row.ID in found.labels]
    patients = None if no_patients else find_patients(labelled, manifest, data_root, pattern)
    rows = manifest_rows(segments, found.labels, patients, data_root)
    write_manifest(path, rows)
    counts = Counter(row["label"] for row in rows)
    shown = ", ".join(f"{count} {printable(label)}" for label, count in counts.most_common())
    of = "" if patients is None else f" of {len({row['patient'] for row in rows})} patients"
    print(f"{printable(path)}: {len(rows)} segments{of} ({shown})")
    left_out = {"unusable": found.rejected, "labelled differently": found.disputed, "not labelled": found.undecided}
    if any(left_out.values()):
        print(f"left out: {', '.join(f'{count} {name}' for name, count in left_out.items() if count)}")


def print_agreement(folder: Path) -> None:
    """Print how far reviewers agree with each other and with the model.

    Raises
    ------
    LungSRADError
        Where nothing is decided yet.
    """
    decisions = DecisionLog(folder, {row.ID: row.predicted for row in read_segments(folder)}).latest()
    if not decisions:
        raise LungSRADError(f"{printable(folder / DECISIONS)}: holds no decision yet")
    for pair in measure_agreement(decisions):
        print(printable(pair))
