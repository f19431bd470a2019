"""Distillation: an encoder learns to reproduce a teacher's embeddings (Bhati et al., "DASS", 2024, distil from AST).

The teacher is a table of embeddings by cycle: it runs once and not in every epoch. The table is a file, which any model
may have written, or is computed by a model (``training/teachers.py``).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lung_srad_plugin.errors import LungSRADError

ARRAYS = ("embedding", "recording", "start", "stop")
MISSING = ("refuse", "skip")
"""What ``teacher_missing`` may be: what happens with training cycles of which the table has no embedding."""


class TeacherTable:
    """A teacher's embedding of each cycle, read from an ``.npz`` file.

    Embeddings are standardised: each of their E features has mean 0 and deviation 1 over the cycles that
    ``standardize`` names.

    Arguments
    ---------
    path : str or Path
        A numpy archive with the arrays ``embedding`` (N, E), ``recording`` (N,), the name of the file without its
        ending, and ``start`` and ``stop`` (N,), in seconds. Further arrays are ignored.
    missing : str
        One of ``MISSING``. With ``"skip"`` a cycle that the table does not have gets NaN, which
        ``distillation_loss`` leaves out.

    Raises
    ------
    LungSRADError
        Where the file is absent or no such archive, an array is missing, misshapen or not finite, or a cycle is there
        twice.

    Example
    -------
    >>> path = getfixture("tmp_path") / "teacher.npz"
    >>> times = {"start": [0.0, 1.5], "stop": [1.5, 3.0]}
    >>> np.savez(path, embedding=np.eye(2), recording=["101_1b1", "101_1b1"], **times)
    >>> teacher = TeacherTable(path)
    >>> teacher({"wav": "sounds/101_1b1.wav", "start": 1.5, "stop": 3.0})
    tensor([0., 1.])
    """

    def __init__(self, path: str | Path, missing: str = "refuse"):
        self.path = Path(path)
        self.missing = missing
        arrays = _read(self.path)
        self.embeddings = torch.from_numpy(arrays["embedding"].astype(np.float32))
        self.size = self.embeddings.shape[1]
        keys = [_key(*cycle) for cycle in zip(arrays["recording"], arrays["start"], arrays["stop"], strict=True)]
        self.index = {key: index for index, key in enumerate(keys)}
        if len(self.index) < len(keys):
            twice = next(key for index, key in enumerate(keys) if self.index[key] != index)
            raise LungSRADError(f"{self.path}: the cycle {_describe(twice)} is there twice; expected each cycle once")

    def __call__(self, row: Mapping[str, Any]) -> torch.Tensor:
        """Return the embedding (E,) of a manifest's row, NaN where the table has none and that is allowed.

        Raises
        ------
        LungSRADError
            Where the table has no such cycle and that is not allowed.
        """
        (index,) = self._find([row])
        return torch.full((self.size,), torch.nan) if index is None else self.embeddings[index]

    def embeddings_of(
        self, rows: Sequence[Mapping[str, Any]], progress: Callable[[int, int], object] | None = None
    ) -> np.ndarray:
        """Return the embeddings (N, E) of the rows of a manifest, as ``EmbeddingCache`` computes them.

        Raises
        ------
        LungSRADError
            Naming cycles that the table does not have.
        """
        found = self.embeddings[self._find(rows)].numpy()
        if progress is not None:
            progress(len(rows), len(rows))
        return found

    def standardize(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Standardise all embeddings by the cycles of these rows, those that the encoder is trained on.

        Raises
        ------
        LungSRADError
            Naming cycles that the table does not have, unless they may be missing; where it has fewer than two.
        """
        used = self.embeddings[[index for index in self._find(rows) if index is not None]]
        if len(used) < 2:
            raise LungSRADError(
                f"{self.path}: has embeddings of {len(used)} of the {len(rows)} training cycles; expected at least 2"
            )
        deviation = used.std(dim=0).clamp(min=1e-4)  # a feature that does not vary stays near 0
        self.embeddings = (self.embeddings - used.mean(dim=0)) / deviation

    def describe_missing(self, rows: Sequence[Mapping[str, Any]]) -> str | None:
        """Return how many of these rows have no embedding, of each data set where there are several; None for none."""
        missing = [row for row, index in zip(rows, self._find(rows), strict=True) if index is None]
        if not missing:
            return None
        counts, totals = (Counter(row.get("dataset") for row in group) for group in (missing, rows))
        by_data_set = ", ".join(f"{name} {count} of {totals[name]}" for name, count in counts.items() if name)
        return (
            f"{self.path}: has no embedding of {len(missing)} of {len(rows)} training cycles"
            f"{f' ({by_data_set})' if by_data_set else ''}; they are trained on without distillation"
        )

    def key(self, row: Mapping[str, Any]) -> tuple:
        """Return what a cycle is found by: the name of its recording, and its times in milliseconds."""
        return _key(Path(str(row["wav"])).stem, row["start"], row["stop"])

    def _find(self, rows):
        """The index of each row in the table, None where it has none and that is allowed."""
        keys = [self.key(row) for row in rows]
        absent = [key for key in keys if key not in self.index]
        if absent and self.missing == "refuse":
            raise LungSRADError(
                f"{self.path}: has no embedding of {len(absent)} of {len(keys)} cycles, for example "
                f"{_describe(absent[0])}; compute the table for the recordings of the training manifest, or train "
                "such cycles without distillation by teacher_missing: skip"
            )
        return [self.index.get(key) for key in keys]


class DistillationHead(torch.nn.Module):
    """A linear layer from an encoder's features (B, D) to a teacher's (B, E), used in training only.

    Example
    -------
    >>> DistillationHead(96, 384)(torch.randn(2, 96)).shape
    torch.Size([2, 384])
    """

    def __init__(self, input_size: int, teacher_size: int):
        super().__init__()
        self.linear = torch.nn.Linear(input_size, teacher_size)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.linear(features)


def distillation_loss(predicted: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Return 1 minus the cosine similarity of predicted and teacher embeddings (B, E), averaged over the batch.

    Samples whose teacher embedding is NaN are left out of the mean; where all are, the loss and its gradient are 0.

    Example
    -------
    >>> distillation_loss(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    tensor(0.5000)
    """
    known = ~teacher.isnan().any(dim=1)
    if not known.any():
        return predicted.sum() * 0
    return (1 - torch.nn.functional.cosine_similarity(predicted[known], teacher[known])).mean()


def _key(recording, start, stop):
    # Whole milliseconds: times in annotations have no finer step, and floating point does not compare.
    return str(recording), round(1000 * float(start)), round(1000 * float(stop))


def _describe(key):
    recording, start, stop = key
    return f"{recording} from {start / 1000:g} to {stop / 1000:g} s"


def _read(path):
    if not path.is_file():
        raise LungSRADError(f"{path}: no such table of teacher embeddings; expected an .npz file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in ARRAYS if name not in archive]
            if missing:
                raise LungSRADError(f"{path}: the array {missing[0]!r} is missing; expected {', '.join(ARRAYS)}")
            arrays = {name: archive[name] for name in ARRAYS}
    except (OSError, ValueError) as error:
        if isinstance(error, LungSRADError):
            raise
        raise LungSRADError(f"{path}: not a numpy archive of arrays ({error})") from None
    embedding = arrays["embedding"]
    if embedding.ndim != 2 or any(arrays[name].shape != embedding.shape[:1] for name in ARRAYS[1:]):
        shapes = ", ".join(f"{name} {arrays[name].shape}" for name in ARRAYS)
        raise LungSRADError(f"{path}: {shapes}; expected embedding (N, E) and the others (N,)")
    if not np.isfinite(embedding).all():
        raise LungSRADError(f"{path}: holds embeddings that are not finite")
    return arrays
