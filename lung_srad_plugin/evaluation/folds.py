"""A cross-validation as one evaluation: every cycle is classified by the model that was trained without it."""

from collections.abc import Sequence

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.same_experiment import ExperimentRun, check_same_experiment
from lung_srad_plugin.evaluation.sources import Selection, Source
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.metrics.validation_fit import nothing_fitted

# The setting that tells the parts of a cross-validation apart, by split.
VARIED = {"kfold": "fold", "device": "test_device"}


def are_folds(runs: Sequence[ExperimentRun]) -> bool:
    """Return whether runs are parts of a cross-validation: over patient folds, or over devices.

    Arguments
    ---------
    runs : sequence of ExperimentRun
    """
    splits = {run.settings.get("split") for run in runs}
    varied = VARIED.get(str(next(iter(splits))))
    return len(splits) == 1 and varied is not None and len({str(run.settings[varied]) for run in runs}) > 1


def pool_folds(runs: Sequence[ExperimentRun]) -> Source:
    """Join the test cycles of all folds, each with its own model's predictions.

    Arguments
    ---------
    runs : sequence of ExperimentRun
        The folds of one patient k-fold, all of them; or runs that each left out another device.

    Returns
    -------
    Source
        With a column ``fold`` in its tables. It has neither a temperature nor thresholds: each fold has its own.

    Raises
    ------
    LungSRADError
        Where a fold is missing, or runs differ in more than their fold, or share a test cycle.
    """
    split = runs[0].settings["split"]
    varied = VARIED[split]
    check_same_experiment(runs, varied, same_split=False)
    runs = sorted(runs, key=lambda run: run.settings[varied])
    names = [str(run.settings[varied]) for run in runs]
    if split == "kfold":
        missing = sorted(set(range(int(runs[0].settings["folds"]))) - {int(name) for name in names})
        if missing:
            raise LungSRADError(
                f"{runs[0].folder} is one of {runs[0].settings['folds']} folds, and fold "
                f"{', '.join(map(str, missing))} is not given; a part of them scores a part of the patients only"
            )
        title = f"patient k-fold, all {len(runs)} folds"
    else:
        title = f"leave one device out: {', '.join(names)}"
    sources = [run.source for run in runs]
    protocols = [source.protocol for source in sources]
    selections = [_pool(by_fold, names) for by_fold in zip(*(source.selections for source in sources), strict=True)]
    facts = {key: value for key, value in sources[0].facts.items() if all(s.facts.get(key) == value for s in sources)}
    return Source(
        name=sources[0].name,
        data=sources[0].data,
        selections=selections,
        protocol={
            "split": title,
            "valid_is_test": any(protocol["valid_is_test"] for protocol in protocols),
            "patients_shared": {
                pair: sorted(
                    {patient for protocol in protocols for patient in protocol["patients_shared"].get(pair, ())}
                )
                for pair in protocols[0]["patients_shared"]
            },
            "notes": list(dict.fromkeys(note for protocol in protocols for note in protocol["notes"])),
        },
        facts=facts
        | {
            "SHA-256 of the splits": {
                name: protocol["split_sha256"] for name, protocol in zip(names, protocols, strict=True)
            }
        },
        trained_on_synthetic=sources[0].trained_on_synthetic,
        synthetic=sources[0].synthetic,
        stretches=_pool_stretches(sources),
        without_sound=sources[0].without_sound,
        cautions=[
            f"{len(runs)} models were trained, each without the cycles it classifies: the score of a method, not of a "
            "model that could be handed on."
        ],
    )


def _pool_stretches(sources):
    """Return where the cycles of all folds are; None where that is not known of each fold."""
    if any(source.stretches is None for source in sources):
        return None
    return {name: stretch for source in sources for name, stretch in source.stretches.items()}


def _pool(selections, names):
    """Join what one rule selected in each fold."""
    tables = [selection.table for selection in selections]
    labels = tables[0].labels
    columns = [name for name in tables[0].metadata if all(name in table.metadata for table in tables)]
    metadata = {name: [value for table in tables for value in table.metadata[name]] for name in columns}
    metadata["fold"] = [name for name, table in zip(names, tables, strict=True) for _ in range(len(table))]
    return Selection(
        selections[0].rule,
        f"in each fold: {selections[0].text}",
        ", ".join(str(selection.epoch) for selection in selections),
        any(selection.optimistic for selection in selections),
        make_table(
            [cycle for table in tables for cycle in table.ids],
            [labels[target] for table in tables for target in table.targets],
            np.concatenate([table.probabilities for table in tables]),
            labels,
            metadata,
            [labels[predicted] for table in tables for predicted in table.predicted],
        ),
        nothing_fitted("each fold has one of its own, and so it is with thresholds"),
    )
