"""Testing the epochs that the rules select."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lung_srad_plugin.evaluation.manifest_table import join_predictions
from lung_srad_plugin.metrics.predictions import PredictionTable
from lung_srad_plugin.metrics.table_metrics import score_intervals
from lung_srad_plugin.metrics.validation_fit import ValidationFit, fit_on_validation, nothing_fitted
from lung_srad_plugin.runs.named_tests import test_set_of
from lung_srad_plugin.runs.record import SelectedScores
from lung_srad_plugin.runs.results import score_data_sets, score_predictions
from lung_srad_plugin.runs.selection import RULES
from lung_srad_plugin.training.brain import LungSoundBrain
from lung_srad_plugin.training.dataio import RunData
from lung_srad_plugin.training.predictions import Predictions
from lung_srad_plugin.training.unlabelled import UNLABELLED


@dataclass(frozen=True)
class SelectedEpochs:
    """What the selected epochs of a run give; the keys are the rules that selected them.

    Arguments
    ---------
    scores : dict of SelectedScores
        On the test sets.
    tables : dict of dict of PredictionTable
        The predictions by part: ``valid`` and the test sets, as of ``part_of``.
    reached : dict of bool
        Whether the epoch has the minimal sensitivity.
    history : list of dict
        Of all epochs of the run.
    """

    scores: dict[str, SelectedScores]
    tables: dict[str, dict[str, PredictionTable]]
    reached: dict[str, bool]
    history: list[dict[str, Any]]


def evaluate_selections(brain: LungSoundBrain, data: RunData) -> SelectedEpochs:
    """Test the epoch that each rule selects, and fit its temperature and thresholds on the validation cycles.

    Arguments
    ---------
    brain : LungSoundBrain
        With the checkpoints of the run.
    data : RunData

    Returns
    -------
    SelectedEpochs
        With the rule ``test`` only where the run tested every epoch (``report_test_selected``).
    """
    # The checkpoint of the last epoch holds the history of the whole run, the others that up to their own epoch.
    brain.load_epoch("last")
    history = list(brain.state.history)
    rules = [rule for rule in RULES if rule != "test" or brain.hparams.report_test_selected]
    scores, tables, reached = {}, {}, {}
    of_epoch: dict[int, tuple] = {}
    for rule in rules:
        epoch = brain.load_epoch(rule)
        if epoch not in of_epoch:
            of_epoch[epoch] = _evaluate_epoch(brain, data, epoch)
        scores[rule], tables[rule] = of_epoch[epoch]
        reached[rule] = _reaches_minimum(brain, history, epoch, rule)
    return SelectedEpochs(scores, tables, reached, history)


def notes_of_selections(selected: SelectedEpochs, brain: LungSoundBrain) -> list[str]:
    """Return what a reader of the results must know of the training and of its selected epochs."""
    notes = [
        f"no epoch had a sensitivity above {brain.selection.min_sensitivity:g} % on the "
        f"{'validation' if rule == 'valid' else rule} cycles, so the best of all epochs was selected there"
        for rule, reached in selected.reached.items()
        if not reached
    ]
    last, asked = selected.history[-1]["epoch"], brain.hparams.number_of_epochs
    if last < asked:
        notes.append(f"training ended after epoch {last} of {asked}")
    if brain.debug:
        notes.append(f"trained with --debug: {brain.debug_batches} batches an epoch")
    return notes


def score_epoch(
    epoch: int, predictions: Mapping[str, Predictions], data: RunData, labels: Sequence[str]
) -> tuple[SelectedScores, dict[str, PredictionTable]]:
    """Return the scores of an epoch with what is fitted on its validation cycles, and its tables by part.

    Arguments
    ---------
    epoch : int
    predictions : Mapping
        On ``valid`` and each test set by part, and on ``train`` where its scores are wanted.
    data : RunData
    labels : sequence of str
    """
    tables = {
        part: join_predictions(data.rows[part], found, labels) for part, found in predictions.items() if part != "train"
    }
    tests = {test_set_of(part): part for part in tables if part != "valid"}
    of_tests = {name: _score_test_set(predictions[part], tables[part]) for name, part in tests.items()}
    scores: dict[str, Any] = {"tests": of_tests, "epoch": epoch}
    if "train" in predictions:
        scores["train"] = score_predictions(predictions["train"], labels).as_dict()
    scores |= _fit(tables["valid"], data.manifests.valid_is_test).to_dict()
    return SelectedScores.model_validate(scores), tables


def _evaluate_epoch(brain, data, epoch):
    parts = [part for part in data.datasets if part != "train" or brain.hparams.report_train]
    predictions = {part: brain.predict(data.datasets[part]) for part in parts}
    if "train" in predictions:
        predictions["train"] = predictions["train"].rows(predictions["train"].targets != UNLABELLED)
    return score_epoch(epoch, predictions, data, brain.hparams.labels)


def _score_test_set(predictions, table):
    scores = score_predictions(predictions, table.labels).as_dict()
    if all(patient.strip() for patient in table.metadata.get("patient", [""])):
        scores["intervals"] = score_intervals(table)
    if data_sets := score_data_sets(table):
        scores["data_sets"] = data_sets
    return scores


def _fit(table: PredictionTable, valid_is_test: bool) -> ValidationFit:
    if valid_is_test:
        return nothing_fitted("the validation cycles were the test cycles, which nothing may be fitted on")
    return fit_on_validation(table)


def _reaches_minimum(brain, history, epoch, rule):
    if rule == "last":
        return True
    entry = next(entry for entry in history if entry["epoch"] == epoch)
    return brain.selection.reaches_minimum(brain.selection.sensitivity(entry[rule]))
