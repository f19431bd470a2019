"""The four classes of a breathing cycle and their two binary findings.

An annotator marks two findings in each cycle, crackle and wheeze; the four classes are their powerset. The order of
``CLASSES`` is fixed here and never learned from data, so that an index means the same in every model.
"""

from collections.abc import Iterable

import numpy as np

from lung_srad_plugin.errors import LungSRADError

CLASSES = ("normal", "crackle", "wheeze", "both")


def label_of(crackle: int, wheeze: int) -> str:
    """Return the class name of a cycle with these two findings.

    Arguments
    ---------
    crackle, wheeze : int or bool
        1 where the finding is present, else 0.

    Returns
    -------
    str
        One of ``CLASSES``.

    Raises
    ------
    LungSRADError
        Where a finding is neither 0 nor 1.

    Example
    -------
    >>> label_of(crackle=1, wheeze=1)
    'both'
    """
    for name, value in (("crackle", crackle), ("wheeze", wheeze)):
        if value not in (0, 1):
            raise LungSRADError(f"{name}={value!r}: a finding is 0 (absent) or 1 (present)")
    return CLASSES[int(crackle) + 2 * int(wheeze)]


def findings_of(label: str) -> tuple[int, int]:
    """Return ``(crackle, wheeze)``, each 0 or 1, of a class name: the inverse of ``label_of``.

    Raises
    ------
    LungSRADError
        Where ``label`` is not one of ``CLASSES``.

    Example
    -------
    >>> findings_of("wheeze")
    (0, 1)
    """
    if label not in CLASSES:
        raise LungSRADError(f"label {label!r} is unknown; expected one of {', '.join(CLASSES)}")
    index = CLASSES.index(label)
    return index % 2, index // 2


def abnormal_probability(probabilities: np.ndarray) -> np.ndarray:
    """Return the probability that a cycle is abnormal: ``1 - p(normal)``, the one definition used everywhere.

    A sum over the other columns is the same number only up to rounding, and rounding splits ties.

    Arguments
    ---------
    probabilities : numpy.ndarray
        (..., C), the normal class first.

    Returns
    -------
    numpy.ndarray
        (...), at least 0.

    Example
    -------
    >>> abnormal_probability(np.array([[0.75, 0.25, 0.0, 0.0], [0.0, 0.5, 0.25, 0.25]]))
    array([0.25, 1.  ])
    """
    # A mean of probabilities may exceed 1 by rounding.
    return np.maximum(1 - np.asarray(probabilities, dtype=np.float64)[..., 0], 0)


def make_label_encoder(labels: Iterable[str]):
    """Return a ``CategoricalEncoder`` of the labels in the order given, that of the model's outputs.

    Raises
    ------
    LungSRADError
        Where fewer than two labels are given, or one twice.

    Example
    -------
    >>> encoder = make_label_encoder(["normal", "crackle"])
    >>> encoder.encode_label("crackle"), len(encoder)
    (1, 2)
    """
    # Imported here, since importing SpeechBrain takes seconds and importing the names of the classes should not.
    from speechbrain.dataio.encoder import CategoricalEncoder

    labels = list(labels)
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise LungSRADError(f"labels: got {labels}; expected at least two different names, the normal class first")
    encoder = CategoricalEncoder()
    encoder.update_from_iterable(labels)
    encoder.expect_len(len(labels))
    return encoder
