"""The preparation that an experiment's settings ask for: which data set, and which of its options."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lung_srad_plugin.datasets.catalogue import DATA_SETS
from lung_srad_plugin.datasets.icbhi.prepare import prepare_icbhi
from lung_srad_plugin.datasets.sprsound.prepare import prepare_sprsound
from lung_srad_plugin.datasets.sprsound.tasks import TASKS, find_task
from lung_srad_plugin.errors import LungSRADError

# What `dataset` and `task` may be in an experiment. Other data sets: prepare them by their command, then skip_prep.
TRAINED_DATA_SETS = tuple(record.name for record in DATA_SETS.values() if record.has_recipe)
TASK_NAMES = tuple(TASKS)

# Settings that only ICBHI has, with the values at which they change nothing.
_ICBHI_ONLY = {"split": "official", "valid": "patients", "test_device": None}


def prepare_data_set(settings: Mapping[str, Any], save_folder: str | Path) -> None:
    """Write the manifests and ``summary.json`` of an experiment's data set.

    Arguments
    ---------
    settings : mapping
        Those of an experiment: ``dataset``, ``task``, ``labels``, ``data_folder``, ``valid_fraction``, ``split_seed``,
        ``strict``, and for ICBHI ``split``, ``valid``, ``folds``, ``fold`` and ``test_device``.
    save_folder : str or pathlib.Path
        Where to write.

    Raises
    ------
    LungSRADError
        Where a setting does not exist for the data set or its labels are not those of the task; and as of
        ``prepare_icbhi`` and ``prepare_sprsound``.

    Example
    -------
    >>> prepare_data_set({"dataset": "sprsound", "task": "1-1", "labels": ["normal", "wheeze"]}, "prepared")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: labels: [normal, wheeze]; task 1-1 of sprsound has [normal, adventitious]
    """
    task = find_task(settings["task"])
    shared = {"valid_fraction", "strict"}
    if settings["dataset"] == "icbhi":
        if task.name != "4class":
            raise LungSRADError(f"task: {task.name}; icbhi has only 4class")
        options = {key: settings[key] for key in (*shared, *_ICBHI_ONLY, "folds", "fold")}
        prepare_icbhi(settings["data_folder"], save_folder, **options, seed=settings["split_seed"])
        return
    if list(settings["labels"]) != list(task.labels):
        given, expected = (", ".join(labels) for labels in (settings["labels"], task.labels))
        raise LungSRADError(f"labels: [{given}]; task {task.name} of {settings['dataset']} has [{expected}]")
    for key, only in _ICBHI_ONLY.items():
        if settings[key] != only:
            raise LungSRADError(f"{key}: {settings[key]}; {settings['dataset']} has only {only}, by its official parts")
    options = {key: settings[key] for key in shared}
    prepare_sprsound(settings["data_folder"], save_folder, **options, task=task.name, seed=settings["split_seed"])
