"""Training on several data sets at once: how often an epoch draws the cycles of each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.subgroups import UNKNOWN
from lung_srad_plugin.training.sampler import seeded_order

COLUMN = "dataset"
"""The column of a manifest that names the data set of each cycle; ``join-manifests`` writes it."""


def data_sets_by_id(rows: Sequence[Mapping[str, Any]]) -> dict[str, str] | None:
    """Return the data set of each cycle of a manifest by its ID; None where it does not name at least two.

    Example
    -------
    >>> data_sets_by_id([{"ID": "1", "dataset": "a"}, {"ID": "2", "dataset": ""}])
    {'1': 'a', '2': 'unknown'}
    >>> data_sets_by_id([{"ID": "1", "dataset": "a"}, {"ID": "2", "dataset": "a"}])
    """
    found = {row["ID"]: row.get(COLUMN) or UNKNOWN for row in rows}
    return found if len(set(found.values())) > 1 else None


@dataclass(frozen=True)
class DataSetDraws:
    """How many cycles of each data set make an epoch.

    An epoch has as many cycles as the manifest. The cycles of a data set are drawn without replacement until all were
    drawn, then again in a new order, over the ends of epochs: a small data set is repeated within an epoch, and the
    epochs of a large one take turns until each of its cycles was drawn.

    Arguments
    ---------
    data_sets : tuple of str
        The data set of each cycle.
    counts : dict of int
        The number of cycles that an epoch draws, by data set.

    Example
    -------
    >>> draws = DataSetDraws(("a", "a", "a", "b"), {"a": 2, "b": 2})
    >>> [sorted(draws.epoch_order(seed=1, epoch=epoch).tolist())[-2:] for epoch in (1, 2)]
    [[3, 3], [3, 3]]
    """

    data_sets: tuple[str, ...]
    counts: dict[str, int]

    def epoch_order(self, seed: int, epoch: int) -> torch.Tensor:
        """Return the indices of the cycles of an epoch in their order, which depends on seed and epoch alone.

        Arguments
        ---------
        seed : int
            Of the run.
        epoch : int
            From 1.

        Returns
        -------
        torch.Tensor
            (size of the manifest,) int64.
        """
        drawn = torch.cat([self._draw(name, seed, epoch) for name in self.counts])
        return drawn[seeded_order(len(drawn), f"order of cycles, seed {seed}, epoch {epoch}")]

    def _draw(self, name, seed, epoch):
        rows = torch.tensor([index for index, data_set in enumerate(self.data_sets) if data_set == name])
        count = self.counts[name]
        first = (epoch - 1) * count
        rounds = range(first // len(rows), (first + count - 1) // len(rows) + 1)
        orders = [rows[seeded_order(len(rows), f"cycles of {name}, seed {seed}, round {number}")] for number in rounds]
        offset = first - rounds[0] * len(rows)
        return torch.cat(orders)[offset : offset + count]

    def class_counts(self, labels: Sequence[str], classes: Sequence[str]) -> dict[str, float]:
        """Return how many cycles of each class an epoch draws on average: what class weights are computed from.

        Arguments
        ---------
        labels : sequence of str
            The class of each cycle.
        classes : sequence of str
            All classes, in the order of the result.

        Example
        -------
        >>> draws = DataSetDraws(("a", "a", "a", "b"), {"a": 2, "b": 2})
        >>> draws.class_counts(["normal", "normal", "wheeze", "wheeze"], ["normal", "wheeze"])
        {'normal': 1.3333333333333333, 'wheeze': 2.6666666666666665}
        """
        sizes = Counter(self.data_sets)
        found = Counter(zip(self.data_sets, labels, strict=True))
        return {
            label: sum(count * found[name, label] / sizes[name] for name, count in self.counts.items())
            for label in classes
        }

    def describe(self) -> dict[str, dict[str, int]]:
        """Return the number of cycles and of those that an epoch draws, by data set, as results state them."""
        sizes = Counter(self.data_sets)
        return {name: {"cycles": sizes[name], "drawn": count} for name, count in self.counts.items()}

    def text(self) -> str:
        """Return the same in words.

        Example
        -------
        >>> DataSetDraws(("a", "a", "a", "b"), {"a": 2, "b": 2}).text()
        'cycles that an epoch draws: a 2 (it has 3), b 2 (it has 1)'
        """
        parts = [f"{name} {one['drawn']} (it has {one['cycles']})" for name, one in self.describe().items()]
        return f"cycles that an epoch draws: {', '.join(parts)}"


def plan_draws(rows: Sequence[Mapping[str, Any]], weights: Mapping[str, float], source: str) -> DataSetDraws:
    """Divide an epoch among the data sets of its cycles.

    The shares are scaled so that they add up to 1. Cycles are whole, so the numbers are rounded down and what is left
    goes to the largest remainders.

    Arguments
    ---------
    rows : sequence of Mapping
        Of the training manifest, with ``dataset``.
    weights : Mapping
        The share of each data set, above 0.
    source : str
        The manifest, for messages.

    Raises
    ------
    LungSRADError
        Where the manifest has no column ``dataset``, or other data sets than ``weights`` names, or a share is too small
        for one cycle.

    Example
    -------
    >>> rows = [{"dataset": "a"}] * 9 + [{"dataset": "b"}]
    >>> plan_draws(rows, {"a": 3, "b": 1}, "train.csv").counts
    {'a': 8, 'b': 2}
    """
    if COLUMN not in rows[0]:
        raise LungSRADError(
            f"{source}: sampling_weights needs the column {COLUMN!r}, which names the data set of each cycle; "
            "`lung-srad join-manifests` writes it, or set sampling_weights to null"
        )
    data_sets = tuple(row[COLUMN] for row in rows)
    _check_names(weights, set(data_sets), source)
    total = sum(weights.values())
    exact = {name: len(rows) * weight / total for name, weight in weights.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
    for name in by_remainder[: len(rows) - sum(counts.values())]:
        counts[name] += 1
    if none := [name for name, count in counts.items() if not count]:
        raise LungSRADError(
            f"sampling_weights: {', '.join(none)} would have no cycle in an epoch of {len(rows)}; raise the share"
        )
    return DataSetDraws(data_sets, counts)


def _check_names(weights, there, source):
    parts = []
    if unknown := [repr(name) for name in weights if name not in there]:
        parts.append(f"{', '.join(unknown)} not in the manifest")
    if missing := [repr(name) for name in sorted(there) if name not in weights]:
        parts.append(f"no share for {', '.join(missing)}")
    if parts:
        raise LungSRADError(
            f"{source}, column {COLUMN!r}: holds {', '.join(map(repr, sorted(there)))}; sampling_weights: "
            f"{'; '.join(parts)}. Give each of them a share above 0"
        )


def check_each_is_scored(rows: Sequence[Mapping[str, Any]], normal: str, source: str) -> None:
    """Refuse a manifest that cannot select epochs by the mean over its data sets (``select_over: datasets``).

    Arguments
    ---------
    rows : sequence of Mapping
    normal : str
        The normal class.
    source : str
        The manifest, for messages.

    Raises
    ------
    LungSRADError
        Where it does not name at least two data sets, or one of them has only normal cycles or none.
    """
    by_id = data_sets_by_id(rows)
    if by_id is None:
        raise LungSRADError(
            f"{source}: select_over: datasets needs the column {COLUMN!r} with at least two data sets; "
            "`lung-srad join-manifests` writes it, or set select_over to cycles"
        )
    found = Counter((by_id[row["ID"]], row["label"] == normal) for row in rows)
    one_sided = [name for name in sorted(set(by_id.values())) if not (found[name, True] and found[name, False])]
    if one_sided:
        raise LungSRADError(
            f"{source}, column {COLUMN!r}: {', '.join(one_sided)} needs {normal} and other cycles to be scored; add "
            "them, leave the data set out, or set select_over to cycles"
        )
