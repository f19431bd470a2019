"""The scores of the SPRSound challenge: SE, SP, their mean AS, their harmonic mean HS, and Score, the mean of both.

Source: Zhang et al., "Grand Challenge on Respiratory Sound Classification for SPRSound Dataset", BioCAS 2022. An
adventitious event or recording counts as correct only with its exact class, as in the 4-class score of ICBHI. In tasks
2-1 and 2-2 poor quality is a class beside the adventitious ones, and counts in SE with them.
"""

from collections.abc import Sequence

import numpy as np

from lung_srad_plugin.metrics.icbhi_score import confusion_counts, scores_of_confusion
from lung_srad_plugin.metrics.table_metrics import harmonic_score


def sprsound_scores(targets: Sequence[int], predictions: Sequence[int], classes: int) -> dict[str, float]:
    """Return the challenge's scores of predicted classes.

    Arguments
    ---------
    targets, predictions : sequence of int, numpy.ndarray or torch.Tensor
        (N,) class indices; 0 is normal.
    classes : int
        Number of classes: 2 in task 1-1, 7 in task 1-2, 3 in task 2-1, 5 in task 2-2.

    Returns
    -------
    dict
        ``SE``, ``SP``, ``AS``, ``HS`` and ``Score`` in percent. NaN where there is no normal target, or no other.

    Raises
    ------
    LungSRADError
        Where the indices are not two equally long lists of known classes.

    Example
    -------
    >>> sprsound_scores([0, 0, 1, 2], [0, 0, 1, 1], classes=3)
    {'SE': 50.0, 'SP': 100.0, 'AS': 75.0, 'HS': 66.66..., 'Score': 70.83...}
    """
    return sprsound_scores_of_confusion(confusion_counts(targets, predictions, classes))


def sprsound_scores_of_confusion(confusion: np.ndarray) -> dict[str, float]:
    """Return the challenge's scores of confusion counts.

    Arguments
    ---------
    confusion : numpy.ndarray
        (..., C, C) counts: row the target, column the prediction, class 0 normal. Leading axes hold many matrices.

    Returns
    -------
    dict
        As of ``sprsound_scores``; arrays of shape (...) where there are leading axes.

    Example
    -------
    >>> scores = sprsound_scores_of_confusion(np.array([[3, 1], [3, 1]]))
    >>> scores["SP"], scores["SE"], scores["AS"], scores["HS"], scores["Score"]
    (75.0, 25.0, 50.0, 37.5, 43.75)
    """
    scores = scores_of_confusion(confusion)
    harmonic = harmonic_score(scores["specificity"], scores["sensitivity"])
    return {
        "SE": scores["sensitivity"],
        "SP": scores["specificity"],
        "AS": scores["score"],
        "HS": harmonic,
        "Score": (scores["score"] + harmonic) / 2,
    }
