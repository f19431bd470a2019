"""Checkpoints of finished runs: their scores, and how far their layers retain high frequencies."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lung_srad_plugin.analysis.cycles import AnalysedModel, cycle_features
from lung_srad_plugin.analysis.feature_spectra import CUTOFF
from lung_srad_plugin.analysis.spectra import measure_spectra
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.run_model import build_run_model, read_run_settings
from lung_srad_plugin.metrics.predictions_file import read_predictions
from lung_srad_plugin.metrics.table_metrics import compute_metrics
from lung_srad_plugin.runs.named_tests import part_of
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.runs.selection import RULES

KINDS = ("both", "frequency", "time")
MEAN = "mean"
"""Stands for the mean over all blocks, where a block has its name."""


@dataclass(frozen=True)
class CheckpointFigures:
    """The figures of one checkpoint.

    Arguments
    ---------
    run : str
        The run's folder, relative to the folder that was searched; of an ablation ``ROW/SEED``.
    rule : str
        How its epoch was selected.
    scores : dict
        ``recall_<class>`` in percent, ``auroc_<finding>``, and the Score.
    retention : dict
        By (block, kind), frequency retention as the model runs: with smoothing where it smooths. The mean over cycles;
        block ``"mean"`` is the mean over blocks.
    """

    run: str
    rule: str
    scores: dict[str, float]
    retention: dict[tuple[str, str], float]


def find_runs(folders: Sequence[str | Path]) -> dict[str, RunFolder]:
    """Return the finished runs in folders: each a run's own, or one of runs or rows of runs, as an ablation's.

    Arguments
    ---------
    folders : sequence of str or Path

    Returns
    -------
    dict
        By name: the path within its folder, or the folder's own name.

    Raises
    ------
    LungSRADError
        Where a folder holds no finished run, or two have the same name.
    """
    found: dict[str, RunFolder] = {}
    for folder in map(Path, folders):
        runs = [path for depth in ("", "*", "*/*") for path in sorted(folder.glob(depth) if depth else [folder])]
        runs = [path for path in runs if RunFolder(path).is_finished()]
        if not runs:
            raise LungSRADError(
                f"{folder}: no finished run there, nor one or two folders below; expected the output folder of "
                "lung-srad ablate, or of a training run"
            )
        for path in runs:
            name = path.name if path == folder else path.relative_to(folder).as_posix()
            if name in found:
                raise LungSRADError(f"{path}: another run is called {name} too; name one folder above both")
            found[name] = RunFolder(path)
    return found


def checkpoint_figures(
    runs: Mapping[str, RunFolder],
    rows: Sequence[Mapping[str, Any]],
    rules: Iterable[str] = ("valid",),
    part: str = "test",
    cutoff: float = CUTOFF,
    max_bytes: int = 2 * 2**30,
    trust_code: bool = False,
    progress: Callable[[], object] | None = None,
) -> list[CheckpointFigures]:
    """Read the scores of each run's selected checkpoints, and measure the retention of their layers.

    Arguments
    ---------
    runs : dict
        As of ``find_runs``.
    rows : sequence of dict
        The cycles on which retention is measured, rows of a manifest.
    rules : iterable of str
        Which checkpoints: some of ``RULES``.
    part : str
        ``"valid"``, ``"test"`` or the name of a test set: which predictions of the run the scores are of.
    cutoff, max_bytes
        As for ``measure_spectra``.
    trust_code : bool
        As for ``read_run_settings``.
    progress : callable, optional
        Called after each checkpoint.

    Raises
    ------
    LungSRADError
        Where a rule or part does not exist, or the predictions, the checkpoint or the settings of a run are missing or
        do not fit; found out for all runs before anything is measured.
    """
    rules = list(rules)
    if any(rule not in RULES for rule in rules):
        raise LungSRADError(f"rules {rules}: expected some of {', '.join(RULES)}")
    file_of = part if part == "valid" else part_of(part)
    asked = []
    for name, run in runs.items():
        for rule in rules:
            path = run.predictions(file_of, rule)
            if not path.is_file():
                raise LungSRADError(f"{path}: no such file; expected predictions on {part}, valid or another test set")
            found = compute_metrics(read_predictions(path))
            kept = {
                key: float(value) for key, value in found.items() if key.startswith(("recall_", "auroc_", "score_"))
            }
            asked.append((name, run, rule, kept, run.find_checkpoint(rule, trust_code)))
    figures = []
    for name, run, rule, scores, checkpoint in asked:
        settings = read_run_settings(run.settings_file, trust_code)
        parts = build_run_model(settings, run, checkpoint, trust_code).modules
        model = AnalysedModel(
            name, parts["compute_features"], parts["mean_var_norm"], parts["embedding_model"], tuple(settings["labels"])
        )
        spectra = measure_spectra(model.encoder, cycle_features(model, rows), cutoff=cutoff, max_bytes=max_bytes)
        retention: dict[tuple[str, str], float] = {}
        for block in spectra:
            curves = block.after if block.smoothed else block.before
            retention |= {(block.name, kind): float(curves.retention[:, i].mean()) for i, kind in enumerate(KINDS)}
        for kind in KINDS:
            retention[MEAN, kind] = float(np.nanmean([retention[block.name, kind] for block in spectra]))
        figures.append(CheckpointFigures(name, rule, scores, retention))
        if progress is not None:
            progress()
    return figures
