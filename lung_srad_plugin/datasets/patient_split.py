"""Patients divided into parts, such as folds or train and valid, close to given shares of every class."""

import random
from collections.abc import Iterable

from lung_srad_plugin.errors import LungSRADError

# Enough for the drawn parts to come close to their shares in every class (a few percent of a class on ICBHI), in less
# than a second.
_DRAWS = 200


def count_by_patient(labelled: Iterable[tuple[str, str]]) -> dict:
    """Count the cycles of each patient by class.

    Arguments
    ---------
    labelled : iterable of (str, str)
        Patient and class of each cycle.

    Returns
    -------
    dict
        Patient to ``{class: number of cycles}``.

    Example
    -------
    >>> count_by_patient([("101", "wheeze"), ("101", "wheeze"), ("102", "normal")])
    {'101': {'wheeze': 2}, '102': {'normal': 1}}
    """
    counts: dict[str, dict[str, int]] = {}
    for patient, label in labelled:
        of_patient = counts.setdefault(patient, {})
        of_patient[label] = of_patient.get(label, 0) + 1
    return counts


def draw_valid_patients(counts: dict, fraction: float, seed: int, keep: Iterable[str] = ()) -> set:
    """Return the train patients who become the validation part.

    Arguments
    ---------
    counts : dict
        Train patient to ``{class: number of cycles}``.
    fraction : float
        The share of train, in each class as nearly as possible.
    seed : int
        Equal seeds give equal draws.
    keep : iterable of str
        Patients who must stay in train, for example because they are in test too.

    Returns
    -------
    set of str

    Raises
    ------
    LungSRADError
        Where the fraction is no share, or no patient can be drawn.

    Example
    -------
    >>> counts = {str(patient): {"normal": 4, "wheeze": patient % 2} for patient in range(10)}
    >>> len(draw_valid_patients(counts, 0.2, seed=0, keep=["3"]))
    2
    """
    if not 0 < fraction < 1:
        raise LungSRADError(f"valid_fraction={fraction!r}; expected a share between 0 and 1, for example 0.2")
    fixed = {patient: 0 for patient in keep if patient in counts}
    if len(counts) < 2 or len(fixed) == len(counts):
        raise LungSRADError(
            f"{len(counts)} train patients, {len(fixed)} of whom must stay in train, leave none for valid; valid needs "
            "patients of its own"
        )
    parts = divide_patients(counts, [1 - fraction, fraction], seed, fixed)
    return {patient for patient, part in parts.items() if part == 1}


def divide_patients(counts: dict, shares: list[float], seed: int, fixed: dict | None = None) -> dict:
    """Divide patients into parts that come close to given shares of every class.

    A patient is never divided. ``_DRAWS`` times, patients are taken in a random order and each is added to the part
    where it leaves the fewest (part, class) pairs empty and, among those, the smallest squared distance from the
    shares; the best of these divisions, by the same two criteria, is returned. The number of patients counts like one
    more class.

    Arguments
    ---------
    counts : dict
        Patient to ``{class: number of cycles}``.
    shares : list of float
        The share of each part; they sum to 1.
    seed : int
        Equal seeds give equal divisions.
    fixed : dict, optional
        Patient to the part in which they have to be.

    Returns
    -------
    dict
        Patient to part, a number from 0. Every part has a patient, and, where the draws find a way, every class.

    Raises
    ------
    LungSRADError
        Where there are fewer patients than parts to fill.

    Example
    -------
    >>> counts = {str(patient): {"normal": 4, "wheeze": patient % 2} for patient in range(10)}
    >>> parts = divide_patients(counts, [0.8, 0.2], seed=0)
    >>> sorted(parts.values())
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    """
    fixed = fixed or {}
    free = sorted(set(counts) - set(fixed))
    unfilled = len(shares) - len(set(fixed.values()))
    if len(free) < unfilled:
        raise LungSRADError(f"{len(free)} patients that can be assigned do not fill {unfilled} parts; use fewer parts")
    classes = sorted({label for of_patient in counts.values() for label in of_patient})
    vectors = {patient: [counts[patient].get(label, 0) for label in classes] + [1] for patient in sorted(counts)}
    totals = [sum(column) for column in zip(*vectors.values(), strict=True)]

    def cost(part, vector):
        """The empty classes of a part and its squared distance from its share."""
        empty = sum(value == 0 < total for value, total in zip(vector, totals, strict=True))
        off = sum((v / t - shares[part]) ** 2 for v, t in zip(vector, totals, strict=True) if t)
        return empty, off

    def gain(part, vector, costs):
        after = cost(part, vector)
        return after[0] - costs[part][0], after[1] - costs[part][1]

    def draw(order):
        filled = [[0] * len(totals) for _ in shares]
        for patient, part in fixed.items():
            filled[part] = [a + b for a, b in zip(filled[part], vectors[patient], strict=True)]
        costs = [cost(part, vector) for part, vector in enumerate(filled)]
        part_of = dict(fixed)
        for patient in order:
            trials = [[a + b for a, b in zip(part, vectors[patient], strict=True)] for part in filled]
            best = min(range(len(shares)), key=lambda part: gain(part, trials[part], costs))
            filled[best], costs[best] = trials[best], cost(best, trials[best])
            part_of[patient] = best
        return (sum(c[0] for c in costs), sum(c[1] for c in costs)), part_of

    generator = random.Random(seed)
    draws = []
    for _ in range(_DRAWS):
        order = list(free)
        generator.shuffle(order)
        draws.append(draw(order))
    return min(draws, key=lambda found: found[0])[1]  # the first of equal ones
