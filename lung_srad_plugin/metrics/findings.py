"""What is to be detected in a cycle (abnormal, crackle, wheeze), and how likely the model thinks it."""

from collections.abc import Sequence

import numpy as np

from lung_srad_plugin.labels import CLASSES, abnormal_probability, findings_of
from lung_srad_plugin.metrics.predictions import PredictionTable


def findings(table: PredictionTable) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return, for each finding, which cycles have it and its probability in each.

    Arguments
    ---------
    table : PredictionTable

    Returns
    -------
    dict
        ``abnormal`` and, where all labels are among ``CLASSES``, ``crackle`` and ``wheeze``: each a (N,) bool array and
        a (N,) score: ``1 - p(normal)``, and for a finding the sum of the probabilities of the classes that have it.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> table = make_table(["a", "b"], ["normal", "both"], [[0.5, 0.125, 0.25, 0.125], [0.25, 0.5, 0, 0.25]])
    >>> findings(table)["crackle"]
    (array([False,  True]), array([0.25, 0.75]))
    """
    return {
        name: (member[table.targets], finding_probability(name, member, table.probabilities))
        for name, member in finding_members(table.labels).items()
    }


def finding_members(labels: Sequence[str]) -> dict[str, np.ndarray]:
    """Return (C,) bool by finding: which of the classes have it.

    Arguments
    ---------
    labels : sequence of str
        (C,) class names, the normal class first.

    Example
    -------
    >>> {name: member.tolist() for name, member in finding_members(("normal", "adventitious")).items()}
    {'abnormal': [False, True]}
    """
    members = {"abnormal": np.arange(len(labels)) > 0}
    if set(labels) <= set(CLASSES):
        has = np.array([findings_of(label) for label in labels], dtype=bool)
        members |= {"crackle": has[:, 0], "wheeze": has[:, 1]}
    return members


def finding_probability(name: str, member: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the probability (N,) of a finding.

    Arguments
    ---------
    name : str
    member : numpy.ndarray
        (C,) as of ``finding_members``.
    probabilities : numpy.ndarray
        (N, C)
    """
    return abnormal_probability(probabilities) if name == "abnormal" else probabilities[:, member].sum(1)
