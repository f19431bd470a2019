"""A training run as the source of an evaluation: what it predicted for its test cycles when it ended."""

from dataclasses import replace
from pathlib import Path

from lung_srad_plugin.datasets.manifests import validate_manifest
from lung_srad_plugin.datasets.synthetic.marker import trained_on_synthetic
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.sources import NO_VALIDATION, Selection, Source, select_facts, sha256_by_name
from lung_srad_plugin.evaluation.worst_cycles import WITHOUT_ROOT, stretches_of
from lung_srad_plugin.metrics.icbhi_score import confusion_counts
from lung_srad_plugin.metrics.predictions_file import read_predictions
from lung_srad_plugin.metrics.validation_fit import nothing_fitted, read_validation_fit
from lung_srad_plugin.runs.named_tests import ONLY, choose_test_set, named_manifests, part_of
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.utils.provenance import file_sha256

VALID_IS_TEST = "the validation cycles were the test cycles, which nothing may be fitted on"


def is_run(folder: str | Path) -> bool:
    """Return whether a folder is the output of a training run with results."""
    return RunFolder(folder).is_finished()


def load_run(folder: str | Path, test_set: str | None = None) -> Source:
    """Return what a training run predicted for its test cycles, for each rule that selected an epoch.

    Arguments
    ---------
    folder : str or Path
        The run's output folder, with ``results.json`` and ``predictions_test_<rule>.csv``.
    test_set : str, optional
        Which, where the run has several.

    Returns
    -------
    Source

    Raises
    ------
    LungSRADError
        Where a file is missing, the predictions do not give the scores of ``results.json``, or the run has no such test
        set, or several and none is chosen.
    """
    run = RunFolder(folder)
    results = run.results()
    protocol = results.protocol
    name = choose_test_set(next(iter(results.selected.values())).tests, test_set, run)
    selections = []
    for rule, scores in results.selected.items():
        path = run.predictions(part_of(name), rule)
        if not path.is_file():
            raise LungSRADError(
                f"{path}: no such file; it comes with every run of this version, so run the training command again "
                "with --test_only"
            )
        table = read_predictions(path, results.labels)
        if confusion_counts(table.targets, table.predicted, len(table.labels)).tolist() != scores.tests[name].confusion:
            raise LungSRADError(
                f"{path}: does not give the confusion counts of {run.results_file}, so they are not of one run; "
                "run the training command again with --test_only"
            )
        selections.append(
            Selection(
                rule,
                protocol.selection[rule],
                scores.epoch,
                rule == "test" or (rule == "valid" and protocol.valid_is_test),
                table,
                _fit_of(scores, protocol),
            )
        )
    stored = results.as_dict()
    synthetic = trained_on_synthetic(stored)
    files = [run.predictions(part_of(name), selection.rule) for selection in selections]
    return Source(
        name=results.experiment,
        data=f"{'test cycles' if name == ONLY else f'test set {name}'} of {Path(results.data_folder).name}",
        selections=selections,
        protocol=_of_test_set(protocol.as_dict(), name),
        facts=select_facts(stored) | {"predictions": sha256_by_name(files)},
        trained_on_synthetic=synthetic,
        synthetic=synthetic,
        without_sound=WITHOUT_ROOT,
    )


def find_cycles(
    source: Source, folder: str | Path, test_set: str | None, data_root: str | Path, trust_code: bool = False
) -> Source:
    """Return the source of a run with where its test cycles are, from its test manifest.

    Arguments
    ---------
    source : Source
        As of ``load_run``.
    folder, test_set
        As for ``load_run``.
    data_root : str or Path
        What ``{data_root}`` in the manifest stands for.
    trust_code : bool
        Whether the settings of the run may call anything.

    Raises
    ------
    LungSRADError
        Where the manifest is not where the run had it or was changed since, or its recordings are not below the root.
    """
    run = RunFolder(folder)
    manifests = named_manifests(run.settings(trust_code)["test_csv"])
    path = Path(manifests[choose_test_set(manifests, test_set, run)])
    part = part_of(choose_test_set(manifests, test_set, run))
    if not path.is_file():
        raise LungSRADError(
            f"{path}: the test manifest of {run} is not there any more, and without it --data-root finds no recording; "
            "put it back, or leave out --data-root for a report without sounds"
        )
    known = source.protocol.get("sha256", {}).get(part)
    if known is not None and file_sha256(path) != known:
        raise LungSRADError(f"{path}: was changed since {run} was tested on it; put back what was there")
    rows = validate_manifest(path, source.selections[0].table.labels, data_root).rows
    return replace(source, stretches=stretches_of(rows), without_sound=None)


def _of_test_set(protocol, name):
    """Return the protocol without what it says of the other test sets."""
    ours = ("train", "valid", part_of(name))
    pairs = ("train_valid", f"train_{part_of(name)}", f"valid_{part_of(name)}")
    kept = {"sha256": ours, "patients_shared": pairs}
    return {
        key: {part: one for part, one in value.items() if part in kept[key]} if key in kept else value
        for key, value in protocol.items()
    }


def _fit_of(scores, protocol):
    if scores.calibration is None:  # version 0.1 stored no reason
        return nothing_fitted(VALID_IS_TEST if protocol.valid_is_test else NO_VALIDATION)
    return read_validation_fit(scores.as_dict())
