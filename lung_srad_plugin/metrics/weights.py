"""How often each cycle counts in each of many resamples of patients, without writing it out cycle by cycle.

Cycles of one patient always count alike. So a weighted sum over cycles is one over patients, of which there are fewer
by far, and everything a metric needs of its weights comes down to small matrix products.
"""

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, DTypeLike


class PatientWeights:
    """Weights (R, N) of N cycles in R resamples, known by their patients' counts.

    ``weights @ values``, ``weights.sum(-1)`` and ``weights.shape`` are those of the full array, which ``np.asarray``
    gives: whatever is written for that array in these terms works for both.

    Arguments
    ---------
    counts : numpy.ndarray
        (R, P) how often each patient was drawn, in whole numbers.
    patient_of : numpy.ndarray
        (N,) index of each cycle's patient.

    Example
    -------
    >>> weights = PatientWeights(np.array([[2, 0], [1, 1]]), patient_of=np.array([0, 0, 1]))
    >>> np.asarray(weights)
    array([[2., 2., 0.], [1., 1., 1.]])
    >>> weights @ np.array([1.0, 10.0, 100.0])
    array([ 22., 111.])
    """

    def __init__(self, counts: np.ndarray, patient_of: np.ndarray):
        self.counts = np.asarray(counts, dtype=float)
        self.patient_of = patient_of
        self.shape = (len(self.counts), len(patient_of))

    def __array__(self, dtype: DTypeLike = None, copy: bool | None = None) -> np.ndarray:
        del copy
        return self.counts[:, self.patient_of].astype(dtype or float)

    def __matmul__(self, values: ArrayLike) -> np.ndarray:
        return self.counts @ self.by_patient(values)

    def sum(self, axis: int) -> np.ndarray:
        """Return the total weight of each resample, (R,); ``axis`` is -1, as one would write for the array."""
        if axis != -1:
            raise ValueError(f"axis={axis}: only the cycles, axis -1, are summed")
        return self @ np.ones(self.shape[1])

    def by_patient(self, values: ArrayLike) -> np.ndarray:
        """Return the sum over each patient's cycles of values (N, ...), shape (P, ...)."""
        return self._membership @ np.asarray(values, dtype=float)

    @cached_property
    def _membership(self):
        """(P, N), 1 where a cycle is of a patient: sparse, as of 100,000 patients the full matrix has 80 gigabytes."""
        from scipy.sparse import csr_array

        shape = (self.counts.shape[1], self.shape[1])
        return csr_array((np.ones(self.shape[1]), (self.patient_of, np.arange(self.shape[1]))), shape=shape)
