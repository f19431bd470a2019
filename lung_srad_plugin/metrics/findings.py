"""What is to be detected in a cycle (abnormal, crackle, wheeze), and how likely the model thinks it."""

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
    found = {"abnormal": (table.targets > 0, abnormal_probability(table.probabilities))}
    if set(table.labels) <= set(CLASSES):
        has = np.array([findings_of(label) for label in table.labels], dtype=bool)
        for name, member in (("crackle", has[:, 0]), ("wheeze", has[:, 1])):
            found[name] = (member[table.targets], table.probabilities[:, member].sum(1))
    return found
