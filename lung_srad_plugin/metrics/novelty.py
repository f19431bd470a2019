"""How unlike its training sounds a sound is: the Mahalanobis distance of its statistics, with a limit.

The limit is set on validation sounds so that a stated share of them, at most, is called unlike. What it finds depends
on the statistics alone and not on the classifier: it says whether a sound moves as lung sounds do, not whether the
class is right.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lung_srad_plugin.errors import LungSRADError

FALSE_ALARM_RATE = 0.02
# Fewer give no covariance of eight statistics, and no quantile of one in fifty.
FEWEST_TRAINING, FEWEST_VALIDATION = 100, 50


@dataclass(frozen=True)
class NoveltyDetector:
    """A distance from the training sounds, and the limit above which a sound is called unlike them.

    Arguments
    ---------
    mean : numpy.ndarray
        (S,), of the statistics of the training sounds.
    precision : numpy.ndarray
        (S, S), the inverse of their covariance.
    limit : float
        Distance above which a sound is unlike.
    """

    mean: np.ndarray
    precision: np.ndarray
    limit: float

    def scores(self, statistics: np.ndarray) -> np.ndarray:
        """Return the distance of each sound in units of the limit: above 1 it is unlike the training sounds.

        Arguments
        ---------
        statistics : numpy.ndarray
            (N, S)

        Returns
        -------
        numpy.ndarray
            (N,), float64.

        Example
        -------
        >>> detector = NoveltyDetector(np.zeros(2), np.diag([1.0, 0.25]), limit=2.5)
        >>> detector.scores(np.array([[3.0, 8.0]]))  # sqrt(9 + 64 / 4) = 5
        array([2.])
        """
        return mahalanobis(statistics, self.mean, self.precision) / self.limit


def mahalanobis(statistics: np.ndarray, mean: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Return the Mahalanobis distances (N,) of rows (N, S) from a mean (S,), by the inverse covariance (S, S).

    Example
    -------
    >>> mahalanobis(np.array([[2.0, 0.0], [0.0, 0.0]]), np.zeros(2), np.diag([4.0, 1.0]))
    array([4., 0.])
    """
    away = np.asarray(statistics, dtype=np.float64) - mean
    # Rounding may leave a small negative number.
    return np.sqrt(np.maximum(np.einsum("ns,st,nt->n", away, precision, away), 0))


def limit_at_rate(distances: np.ndarray, rate: float) -> float:
    """Return the smallest of these distances that at most ``rate`` of them exceed.

    Arguments
    ---------
    distances : numpy.ndarray
        (N,)
    rate : float
        From 0 to below 1.

    Example
    -------
    >>> limit_at_rate(np.arange(1.0, 11.0), rate=0.2)
    8.0
    """
    if not 0 <= rate < 1 or not len(distances):
        raise LungSRADError(
            f"rate={rate}, {len(distances)} distances: expected a rate from 0 to below 1, and distances"
        )
    rising = np.sort(np.asarray(distances, dtype=np.float64))
    # The number that may exceed it can miss a whole number by rounding alone.
    return float(rising[len(rising) - 1 - int(np.floor(rate * len(rising) + 1e-9))])


def fit_novelty(train: np.ndarray, valid: Mapping[str, np.ndarray], rate: float = FALSE_ALARM_RATE) -> NoveltyDetector:
    """Fit mean and covariance on training sounds, and the limit on validation sounds.

    The covariance is shrunk towards a multiple of the identity (Ledoit and Wolf, 2004, J. Multivariate Analysis 88), of
    statistics that are brought to a deviation of 1 first.

    Arguments
    ---------
    train : numpy.ndarray
        (N, S)
    valid : Mapping
        By kind of sound, such as cycles and windows, (N, S): the limit is the highest that any kind needs, so that the
        rate holds for each of them.
    rate : float
        Share of validation sounds that may be called unlike.

    Raises
    ------
    LungSRADError
        Where there are too few sounds.

    Example
    -------
    >>> draw = np.random.default_rng(0)
    >>> detector = fit_novelty(draw.normal(size=(500, 2)), {"cycles": draw.normal(size=(200, 2))}, rate=0.05)
    >>> detector.scores(np.array([[0.0, 0.0], [9.0, 0.0]])) > 1
    array([False,  True])
    """
    from sklearn.covariance import LedoitWolf

    count = sum(map(len, valid.values()))
    if len(train) < FEWEST_TRAINING or count < FEWEST_VALIDATION:
        raise LungSRADError(
            f"{len(train)} training and {count} validation sounds are too few to tell what is unlike them; expected at "
            f"least {FEWEST_TRAINING} and {FEWEST_VALIDATION}"
        )
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation = np.maximum(deviation, 1e-6)
    precision = LedoitWolf().fit((train - mean) / deviation).precision_ / np.outer(deviation, deviation)
    precision = (precision + precision.T) / 2
    limit = max(limit_at_rate(mahalanobis(rows, mean, precision), rate) for rows in valid.values() if len(rows))
    return NoveltyDetector(mean, precision, limit)
