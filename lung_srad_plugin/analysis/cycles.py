"""The cycles of an analysis: which ones of a manifest, and their features as a model gets them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch

from lung_srad_plugin.audio.features import CycleFeatures
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.errors import LungSRADError


class AnalysedModel(NamedTuple):
    """The parts of a model that an analysis runs.

    Arguments
    ---------
    name : str
    features : CycleFeatures
    normalization : torch.nn.Module
    encoder : Encoder
        A module in evaluation mode.
    labels : tuple of str
    """

    name: str
    features: CycleFeatures
    normalization: torch.nn.Module
    encoder: Any
    labels: tuple[str, ...]


def select_cycles(rows: Sequence[Mapping[str, Any]], count: int, classes: Sequence[str]) -> list[Mapping[str, Any]]:
    """Select cycles of a manifest, as many of each class as there are, evenly spread over its rows.

    Nothing is drawn by chance: the same manifest gives the same cycles.

    Arguments
    ---------
    rows : sequence of dict
        Rows of the manifest.
    count : int
        How many; all of these classes where there are fewer.
    classes : sequence of str
        Which labels.

    Returns
    -------
    list of dict
        In the order of the manifest.

    Raises
    ------
    LungSRADError
        Where the manifest has no cycle of one of the classes, or the number is below 1.

    Example
    -------
    >>> rows = [{"ID": name, "label": name[0]} for name in ("a1", "a2", "a3", "a4", "b1", "c1")]
    >>> [row["ID"] for row in select_cycles(rows, 3, ["a", "b"])]
    ['a2', 'a4', 'b1']
    """
    if count < 1:
        raise LungSRADError(f"cycles={count}: expected at least 1")
    by_class = {name: [index for index, row in enumerate(rows) if row["label"] == name] for name in classes}
    absent = [name for name, indices in by_class.items() if not indices]
    if absent:
        there = ", ".join(sorted({row["label"] for row in rows}))
        raise LungSRADError(f"classes {', '.join(absent)}: no cycle of the manifest has them; it has {there}")
    taken = dict.fromkeys(by_class, 0)
    for _ in range(min(count, sum(map(len, by_class.values())))):
        open_classes = [name for name in by_class if taken[name] < len(by_class[name])]
        taken[min(open_classes, key=lambda name: taken[name])] += 1
    selected = [
        indices[int((step + 0.5) * len(indices) / taken[name])]
        for name, indices in by_class.items()
        for step in range(taken[name])
    ]
    return [rows[index] for index in sorted(selected)]


@torch.no_grad()
def cycle_features(model: AnalysedModel, rows: Sequence[Mapping[str, Any]]) -> Iterator[torch.Tensor]:
    """Yield the normalised features (1,T,F) of each cycle, computed as in training.

    Arguments
    ---------
    model : AnalysedModel
    rows : sequence of dict
        Rows of a manifest.

    Raises
    ------
    LungSRADError
        Where a recording cannot be read.
    """
    device = next((weight.device for weight in model.encoder.parameters()), torch.device("cpu"))
    for name, of_recording in groupby(rows, key=lambda row: row["wav"]):
        recording = model.features.prepare(load_recording(name, model.features.sample_rate), name=name)
        for row in of_recording:
            waveform = model.features.cut(recording, row["start"], row["stop"], name=name)
            feats = model.features.fbank(waveform[None].to(device))
            yield model.normalization(feats, torch.ones(1, device=device))
