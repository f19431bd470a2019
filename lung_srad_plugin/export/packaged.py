"""Packaging: from a finished run to the model that comes with the package, small and without a trace of the machine."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lung_srad_plugin.datasets.catalogue import DATA_SETS
from lung_srad_plugin.datasets.manifests import read_manifest
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.export import check_destination, export_run, publish_folder
from lung_srad_plugin.export.machine_paths import find_machine_paths
from lung_srad_plugin.export.model_card import write_card
from lung_srad_plugin.export.model_config import parse_config
from lung_srad_plugin.export.model_folder import CARD, CONFIG, WEIGHTS
from lung_srad_plugin.export.reported_scores import read_report
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.utils.provenance import file_sha256

LARGEST_WEIGHTS = 12_000_000  # bytes


def package_run(
    run_folder: str | Path,
    destination: str | Path,
    train_csv: str | Path | None = None,
    test_reports: Mapping[str, str | Path] | None = None,
    remarks: Sequence[str] = (),
    select: str = "valid",
    timeline: str | Path | None = None,
    valid_csv: str | Path | None = None,
) -> Path:
    """Export an epoch of a run as a folder to be shipped with the package.

    It is the folder of ``lung-srad export`` without the second copy of the weights, with the data sets of the training
    part in ``config.json`` and card, and checked for paths of this machine.

    Arguments
    ---------
    run_folder : str or Path
        The output folder of a finished training run.
    destination : str or Path
        Where to write: a folder that is absent or empty, or an earlier one, which is replaced.
    train_csv : str or Path, optional
        The manifest of the training part, with the columns ``patient`` and ``dataset``; by default where the run found
        it, relative to the current folder.
    test_reports : Mapping, optional
        By name of a test set, the ``report.json`` of this model on it; the card has its scores.
    remarks : sequence of str
        Sentences for the card, such as how the model was chosen.
    select : str
        Which epoch, as for ``export_run``: by default the one that validation selected.
    timeline : str or Path, optional
        As for ``export_run``.
    valid_csv : str or Path, optional
        The manifest of the validation part, on which the detector of unlike sounds is fitted beside ``train_csv``; by
        default where the run found it. Where it is named, a detector that cannot be fitted is an error.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    LungSRADError
        As ``export_run``; where the run is not finished, the manifest is not the one that was trained on or does not
        name data sets and patients, a report is of another model, the weights are too large, or a file holds a path of
        this machine.
    """
    run = RunFolder(run_folder)
    if not run.is_finished():
        raise LungSRADError(f"{run}: not the output folder of a finished training run; wait for its results.json")
    check_destination(Path(destination))
    results, settings = run.results().as_dict(), run.settings()
    train = Path(train_csv or settings["train_csv"])
    sets = _training_sets(train, results["protocol"].get("sha256", {}).get("train"))
    manifests = None if valid_csv is None else {"train": train, "valid": valid_csv}
    with tempfile.TemporaryDirectory(prefix="lung-srad-") as temporary:
        exported = export_run(
            run.path, Path(temporary) / "model", select=select, timeline=timeline, manifests=manifests
        )
        with publish_folder(Path(destination)) as folder:
            for path in exported.iterdir():
                second_copy = path.suffix == ".safetensors" and path.stem in WEIGHTS
                if not second_copy and not path.name.startswith("."):
                    (folder / path.name).write_bytes(path.read_bytes())
            content = json.loads((exported / CONFIG).read_text(encoding="utf-8"))
            content["training_sets"] = sets
            content["data"] = " and ".join(one["title"] for one in sets)
            content["files"] = {
                name: file_sha256(folder / name) for name in content["files"] if (folder / name).is_file()
            }
            config = parse_config(content, str(folder / CONFIG), "rename what it names")
            (folder / CONFIG).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            reports = {name: read_report(path, config) for name, path in (test_reports or {}).items()}
            (folder / CARD).write_text(write_card(config, results, reports, remarks), encoding="utf-8")
            _check_weights(folder)
            refuse_machine_paths(folder, _machine_paths(settings, run))
    return Path(destination)


def refuse_machine_paths(folder: str | Path, known: Sequence[str] = ()) -> None:
    """Refuse a folder in which a file holds an absolute path.

    Arguments
    ---------
    folder : str or Path
    known : sequence of str
        Paths of this machine, which are looked for in files that are no text too.

    Raises
    ------
    LungSRADError
        Naming each file with the path that was found.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "card.md").write_text("See https://example.org/a/b, and Se/Sp. In /home/me/data.")
    >>> refuse_machine_paths(folder)
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: ...card.md holds the path '/home/me/data.'; ...
    """
    found = find_machine_paths(sorted(Path(folder).iterdir()), known)
    if found:
        raise LungSRADError(f"{'; '.join(found)}; expected no path of a machine in a folder that is passed on")


def _training_sets(manifest: Path, sha256: str | None) -> list[dict[str, Any]]:
    """Return what of each data set is in the manifest of the training part."""
    if not manifest.is_file():
        raise LungSRADError(f"{manifest}: no such file; name the manifest of the training part with --train-csv")
    if sha256 is not None and file_sha256(manifest) != sha256:
        raise LungSRADError(f"{manifest}: not the manifest that the run was trained on (its SHA-256 differs)")
    patients: dict[str, set[str]] = {}
    cycles: dict[str, int] = {}
    for row in read_manifest(manifest, "."):
        for column in ("dataset", "patient"):
            if not row.get(column):
                raise LungSRADError(
                    f"{manifest}, row {row['ID']}, column {column!r}: is blank or missing; write the manifest with "
                    "lung-srad join-manifests, from manifests with patients"
                )
        patients.setdefault(row["dataset"], set()).add(row["patient"])
        cycles[row["dataset"]] = cycles.get(row["dataset"], 0) + 1
    sets = []
    for name in patients:
        record = DATA_SETS.get(name)
        sets.append(
            {
                "name": name,
                "title": record.title if record else name,
                "licence": record.licence if record else None,
                "patients": len(patients[name]),
                "cycles": cycles[name],
            }
        )
    return sets


def _check_weights(folder: Path) -> None:
    size = sum((folder / f"{name}.ckpt").stat().st_size for name in WEIGHTS)
    if size > LARGEST_WEIGHTS:
        raise LungSRADError(f"{folder}: {size:,} bytes of weights; expected at most {LARGEST_WEIGHTS:,}")


def _machine_paths(settings: Mapping[str, Any], run: RunFolder) -> list[str]:
    """Return the absolute paths that a run knows of: those of its settings, its own, the home, the current folder."""
    values = {str(value) for value in settings.values() if isinstance(value, str) and Path(value).is_absolute()}
    return sorted({*values, str(run.path.resolve()), str(Path.home()), str(Path.cwd())} - {"/"})
