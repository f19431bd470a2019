"""The spectra of models as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lung_srad_plugin.analysis.candidate_blocks import Candidate
from lung_srad_plugin.analysis.spectra import AXES, BlockSpectrum


@dataclass(frozen=True)
class ModelSpectra:
    """The spectra of a model.

    Arguments
    ---------
    name : str
    duration : float
        Seconds that its map spans.
    mels : int
        Mel bands that its map spans.
    blocks : list of BlockSpectrum
    candidates : list of Candidate
    """

    name: str
    duration: float
    mels: int
    blocks: list[BlockSpectrum]
    candidates: list[Candidate]

    def units(self, size: tuple[int, int], axis: str) -> tuple[np.ndarray, np.ndarray, str]:
        """Return the frequencies of an axis' bins in cycles per position and in a physical unit, and that unit.

        Example
        -------
        >>> per_position, physical, unit = ModelSpectra("a", 8.0, 128, [], []).units((8, 64), "time")
        >>> float(per_position[-1]), float(physical[-1]), unit
        (0.5, 4.0, 'Hz')
        """
        height, width = size
        positions = {"positions": height * width, "frequency": height, "time": width}[axis]
        per_position = np.arange(positions // 2 + 1) / positions
        if axis == "time":
            return per_position, per_position * width / self.duration, "Hz"
        if axis == "frequency":
            return per_position, per_position * height / self.mels, "cycles per mel band"
        return per_position, per_position, "cycles per position"


def curves_csv(models: Sequence[ModelSpectra]) -> str:
    """Return one line for each model, block, axis, state of smoothing and frequency.

    ``mean`` and ``sd`` over cycles are of unscaled responses; ``scaled_mean`` and ``scaled_sd`` of curves that were
    scaled to span 0 to 1 for each cycle, as ``spectral_response`` does.
    """
    header = "model,block,axis,smoothing,cycles_per_position,physical,unit,cycles,mean,sd,scaled_mean,scaled_sd"
    lines = []
    for model in models:
        for block in model.blocks:
            for axis in AXES:
                per_position, physical, unit = model.units(block.size, axis)
                for state, curves in (("before", block.before), ("after", block.after)):
                    values = curves.response[axis]
                    columns = zip(
                        per_position, physical, *mean_and_spread(values), *mean_and_spread(scaled(values)), strict=True
                    )
                    lines += [
                        [model.name, block.name, axis, state, at, real, unit, len(values), *numbers]
                        for at, real, *numbers in columns
                    ]
    return to_csv(header.split(","), lines)


def blocks_csv(models: Sequence[ModelSpectra]) -> str:
    """Return one line for each model and block: retention before and after smoothing, energy, peaks, candidates."""
    kinds = ("both", "frequency", "time")
    header = ["model", "block", "height", "width", "smoothed_by_the_model", "cycles"]
    header += [f"retention_{kind}_{state}_{part}" for state in ("before", "after") for kind in kinds for part in PARTS]
    header += [f"energy_above_{axis}_{part}" for axis in AXES[1:] for part in PARTS]
    header += ["peak_mean", "peak_sd", "candidate", "candidate_share"]
    lines = []
    for model in models:
        by_block = {(one.stage, one.block): one for one in model.candidates}
        for block in model.blocks:
            candidate = by_block[block.stage, block.block]
            line: list[Any] = [model.name, block.name, *block.size, block.smoothed, len(block.energy)]
            for values in (block.before.retention, block.after.retention, block.energy):
                line += np.stack(mean_and_spread(values), axis=1).ravel().tolist()
            line += [candidate.peak, candidate.spread, candidate.selected, candidate.share]
            lines.append(line)
    return to_csv(header, lines)


def whole_blocks_csv(models: Sequence[ModelSpectra]) -> str:
    """Return one line for each model, block, axis and frequency of the measured responses of whole blocks."""
    header = "model,block,axis,cycles_per_position,physical,unit,cycles,gain_mean,gain_sd,kept_mean,kept_sd"
    lines = []
    for model in models:
        for block in model.blocks:
            for axis in AXES[1:]:
                if block.whole is None:
                    continue
                per_position, physical, unit = model.units(block.size, axis)
                gain, kept = block.whole.gain[axis], block.whole.kept[axis]
                columns = zip(per_position, physical, *mean_and_spread(gain), *mean_and_spread(kept), strict=True)
                lines += [
                    [model.name, block.name, axis, at, real, unit, len(gain), *numbers]
                    for at, real, *numbers in columns
                ]
    return to_csv(header.split(","), lines)


def cycles_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the cycles that were analysed; paths of one machine are left out."""
    columns = ("ID", "label", "start", "stop", "patient")
    return to_csv(columns, [[row.get(column, "") for column in columns] for row in rows])


PARTS = ("mean", "sd")


def mean_and_spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation over cycles, the first axis; the latter is NaN for one cycle."""
    if len(values) == 1:
        return values[0], np.full(values.shape[1:], np.nan)
    return values.mean(axis=0), values.std(axis=0, ddof=1)


def scaled(curves: np.ndarray) -> np.ndarray:
    """Return curves (cycles, bins), each scaled to span 0 to 1; 0 where it is the same everywhere."""
    low, high = curves.min(axis=1, keepdims=True), curves.max(axis=1, keepdims=True)
    return (curves - low) / np.where(high > low, high - low, 1)


def to_csv(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """Return CSV, numbers with seven digits, blank where they are undefined."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in line] for line in lines)
    return text.getvalue()


def _cell(value):
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.7g}"
    return value
