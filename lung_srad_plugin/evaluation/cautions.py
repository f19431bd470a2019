"""What a reader must know of the numbers of a report, and what must not be compared with what."""

# Below this many patients an interval from resampled patients is too narrow to be trusted.
FEW_PATIENTS = 20


def patients_in_both(protocol):
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
    """
    shared = protocol.get("patients_shared", {})
    return {pair.replace("_", " and "): ", ".join(patients) for pair, patients in shared.items()}


def one_answer_cautions(who, labels, confusion):
    """Point out a model that calls every cycle the same.

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
        Empty where there are several answers.

    Example
    -------
    >>> one_answer_cautions("Seed 2", ("no", "yes"), [[0, 3], [0, 1]])
    ['Seed 2 called every cycle yes.']
    """
    answered = [label for label, *counts in zip(labels, *confusion, strict=True) if sum(counts)]
    if len(answered) > 1:
        return []
    score = " The 4-class and 2-class Scores of always answering normal are 50 by definition."
    return [f"{who} called every cycle {answered[0]}.{score if answered[0] == labels[0] else ''}"]


def data_cautions(source, patients, support):
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
        # Where the validation cycles are the test cycles, that is said of the selection.
        if shared and not (pair == "valid and test" and protocol.get("valid_is_test")):
            cautions.append(f"Patients in both {pair}: {shared}. What the model learned of them may help.")
    if protocol.get("valid_is_test"):
        cautions.append(
            "The validation cycles were the test cycles, as in the published protocol: the test set picked the epoch, "
            "and its scores are optimistic. No temperature or threshold was fitted: nothing was left to fit it on."
        )
    cautions += [f"{note[0].upper()}{note[1:]}." for note in protocol.get("notes", ())]
    if patients < FEW_PATIENTS:
        cautions.append(
            f"{patients} patients are few: intervals from resampled patients are too narrow below some {FEW_PATIENTS}."
        )
    absent = [label for label, count in support.items() if not count]
    if absent:
        cautions.append(f"No cycle is annotated {', '.join(absent)}: what is said of that class is undefined here.")
    if source.labels_map is not None:
        cautions.append(
            "The data set's labels were translated into the model's as the mapping below says; the scores depend on it."
        )
    return cautions


def not_comparable(source, several_seeds):
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
    rules = [
        "Strict-class with any-abnormal figures. The 4-class Score counts an abnormal cycle as right only with its "
        "exact class, the 2-class Score with any abnormal class; the second is never lower, and its sensitivity has "
        "been published under the first one's name.",
        "Epochs picked on the test set with epochs picked without it. The first are optimistic: an independent rerun "
        "of a published system over five seeds gave 61.5 with the best epoch on test and 59.6 with the last one.",
        seeds,
        "Other splits or parts of a data set with the official split of the whole: compare the hash of the split.",
        "AUPRC and predictive values between sets with other shares of abnormal cycles.",
    ]
    if not several_seeds:
        rules.append("Groups in the tables below with each other as if all else were equal.")
    if source.labels_map is not None:
        rules.append("Scores on translated labels with scores on the labels the model was trained with.")
    if source.of_training and source.protocol.get("split") == "own manifests":
        rules.append("Scores on one's own manifests with published ones.")
    return rules
