"""What a reader must know of the numbers of a report, and what must not be compared with what."""

from collections.abc import Mapping, Sequence
from typing import Any

from lung_srad_plugin.datasets.synthetic.marker import EVALUATED_ON_SYNTHETIC, TRAINED_ON_SYNTHETIC
from lung_srad_plugin.evaluation.sources import Source

# Below this many patients an interval from resampled patients is too narrow to be trusted.
FEW_PATIENTS = 20


def patients_in_both(protocol: Mapping[str, Any]) -> dict[str, str]:
    """Return the patients in two parts of the data: by pair in words, the patients in words, blank where none is.

    Arguments
    ---------
    protocol : dict
        As in ``results.json``; ``{}`` where nothing is known.

    Returns
    -------
    dict

    Example
    -------
    >>> patients_in_both({"patients_shared": {"train_valid": [], "train_test": ["156", "218"]}})
    {'train and valid': '', 'train and test': '156, 218'}
    >>> patients_in_both({"patients_shared": {"valid_test_inter": ["7"]}})
    {'valid and test inter': '7'}
    """
    shared = protocol.get("patients_shared", {})
    # The second part may be a test set with a name, as in train_test_inter.
    words = {pair: pair.replace("_", " and ", 1).replace("test_", "test ", 1) for pair in shared}
    return {words[pair]: ", ".join(patients) for pair, patients in shared.items()}


def synthetic_cautions(source: Source) -> list[str]:
    """Say that sounds are synthetic: those the model was trained on, those evaluated, or both.

    Arguments
    ---------
    source : Source

    Returns
    -------
    list of str
        Empty where neither is.
    """
    cautions = []
    if source.trained_on_synthetic:
        cautions.append(f"{TRAINED_ON_SYNTHETIC}.")
    if source.synthetic:
        cautions.append(f"{EVALUATED_ON_SYNTHETIC}.")
    return cautions


def one_answer_cautions(who: str, labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[str]:
    """Point out a model that predicts the same class for every cycle.

    Arguments
    ---------
    who : str
        Begins the sentence.
    labels : sequence of str
        The class names, the normal class first.
    confusion : sequence of sequence of int
        Counts; row the target, column the prediction.

    Returns
    -------
    list of str
        Empty where several classes are predicted.

    Example
    -------
    >>> one_answer_cautions("Seed 2", ("no", "yes"), [[0, 3], [0, 1]])
    ['Seed 2 called every cycle yes.']
    """
    predicted = [label for label, *counts in zip(labels, *confusion, strict=True) if sum(counts)]
    if len(predicted) > 1:
        return []
    score = f" The Score of a model that always predicts {labels[0]} is 50 by definition."
    return [f"{who} called every cycle {predicted[0]}.{score if predicted[0] == labels[0] else ''}"]


def data_cautions(source: Source, patients: int, support: Mapping[str, int]) -> list[str]:
    """Say what is particular about the cycles, and about the split where they are of the training run.

    Arguments
    ---------
    source : Source
    patients : int
        How many were evaluated.
    support : dict
        Cycles by class.

    Returns
    -------
    list of str
    """
    protocol = source.protocol if source.of_training else {}  # else it speaks of other cycles
    cautions = []
    for pair, shared in patients_in_both(protocol).items():
        # Where the validation cycles are the test cycles, the selection states it.
        if shared and not (pair.startswith("valid and test") and protocol.get("valid_is_test")):
            cautions.append(f"Patients in both {pair}: {shared}. What the model learned of them may help.")
    if protocol.get("valid_is_test"):
        cautions.append(
            "The validation cycles were the test cycles, as in the published protocol: the test set selected the "
            "epoch, and its scores are optimistic. No temperature or threshold was fitted: no cycles were left for it."
        )
    cautions += [f"{note[0].upper()}{note[1:]}." for note in protocol.get("notes", ())]
    if patients < FEW_PATIENTS:
        cautions.append(
            f"{patients} patients are few: intervals from resampled patients are too narrow below some {FEW_PATIENTS}."
        )
    absent = [label for label, count in support.items() if not count]
    if absent:
        cautions.append(f"No cycle is annotated {', '.join(absent)}: the figures of that class are undefined here.")
    if source.labels_map is not None:
        cautions.append(
            "The data set's labels were translated into the model's as the mapping below says; the scores depend on it."
        )
    return cautions


def not_comparable(source: Source, several_seeds: bool) -> list[str]:
    """Say what must not be compared with what: general rules first, then those of this report.

    Arguments
    ---------
    source : Source
    several_seeds : bool
        Whether the report is of several runs.

    Returns
    -------
    list of str
    """
    seeds = (
        "A mean over seeds with a single run, or with the best of several: runs of one experiment differ by points."
        if several_seeds
        else "One seed with a mean over seeds. The intervals here hold the variation of patients, not that of training."
    )
    if source.trained_on_synthetic or source.synthetic:
        return ["Scores of synthetic sounds with scores of any recordings of patients.", seeds]
    labels = source.selections[0].table.labels
    rules = [
        "Epochs selected on the test set with epochs selected without it: the first are optimistic.",
        seeds,
        "Scores on one split, or on a part of a data set, with scores on another: compare the hash of the split.",
        "AUPRC and predictive values between sets with other shares of abnormal cycles.",
    ]
    if len(labels) > 2:
        rules.insert(
            0,
            f"Strict-class with any-abnormal figures. The {len(labels)}-class Score counts an abnormal cycle as right "
            "only with its exact class, the 2-class Score with any abnormal class; the second is never lower, and its "
            "sensitivity has been published under the first one's name.",
        )
    if not several_seeds:
        rules.append("Groups in the tables below with each other as if all else were equal.")
    if source.labels_map is not None:
        rules.append("Scores on translated labels with scores on the labels the model was trained with.")
    if source.of_training and source.protocol.get("split") == "own manifests":
        rules.append("Scores on one's own manifests with published ones.")
    return rules
