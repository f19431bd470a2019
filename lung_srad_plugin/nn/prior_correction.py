"""Correcting the classification loss for how common abnormal cycles are in each data set."""

from collections import Counter
from collections.abc import Hashable, Sequence

import torch

from lung_srad_plugin.errors import LungSRADError


def log_shares(labels: Sequence[str], data_sets: Sequence[Hashable], classes: Sequence[str]) -> dict:
    """Return, for each data set, the log of the share of normal cycles for the first class, of abnormal for all others.

    Added to a model's outputs in the cross-entropy of training alone, they make the model learn the probabilities for
    normal and abnormal cycles equally common, whatever the data set: logit adjustment (Menon et al., ICLR 2021,
    arXiv 2007.07314, section 5.2) with two groups instead of all classes. The likeliest class then is the one with the
    best expected Score, the mean of specificity and sensitivity, in each data set; and that a recording is of a data
    set with many abnormal cycles is no reason to answer abnormal.

    Arguments
    ---------
    labels : sequence of str
        The label of each training cycle.
    data_sets : sequence
        The data set of each training cycle.
    classes : sequence of str
        The labels in the order of the model's outputs; the first is the normal one.

    Returns
    -------
    dict of torch.Tensor
        By data set, (C,) float32.

    Raises
    ------
    LungSRADError
        Where a data set has only normal or only abnormal cycles: its share cannot be corrected for.

    Example
    -------
    >>> shares = log_shares(["normal", "normal", "normal", "wheeze"], ["a"] * 4, ["normal", "crackle", "wheeze"])
    >>> shares["a"].exp()
    tensor([0.7500, 0.2500, 0.2500])
    """
    cycles = Counter(data_sets)
    normal = Counter(name for label, name in zip(labels, data_sets, strict=True) if label == classes[0])
    for name, count in cycles.items():
        if normal[name] in (0, count):
            where = "the train manifest" if name is None else f"data set {name} of the train manifest"
            raise LungSRADError(
                f"prior_correction: {where} has {normal[name]} {classes[0]} of {count} cycles; expected {classes[0]} "
                "and other cycles in each data set; without them, set prior_correction to False"
            )
    shares = {}
    for name, count in cycles.items():
        share = torch.tensor(normal[name] / count)
        shares[name] = torch.log(torch.stack([share] + [1 - share] * (len(classes) - 1)))
    return shares
