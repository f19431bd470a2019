"""The detector of unlike sounds in a model folder: ``novelty.safetensors``, written, and read back with every check."""

from pathlib import Path

import numpy as np
import torch

from lung_srad_plugin.audio.sound_statistics import STATISTICS
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_config import ModelConfig
from lung_srad_plugin.export.model_folder import CONFIG, CURE
from lung_srad_plugin.export.weights import read_weights
from lung_srad_plugin.metrics.novelty import NoveltyDetector

NOVELTY = "novelty.safetensors"


def write_novelty(folder: str | Path, detector: NoveltyDetector) -> None:
    """Write a detector to a folder: the tensors ``mean`` (S,), ``precision`` (S, S) and ``limit`` (1,), float64."""
    from safetensors.torch import save

    tensors = {
        "mean": torch.from_numpy(detector.mean),
        "precision": torch.from_numpy(detector.precision).contiguous(),
        "limit": torch.tensor([detector.limit], dtype=torch.float64),
    }
    (Path(folder) / NOVELTY).write_bytes(save(tensors, metadata={"format": "pt"}))


def read_novelty(folder: str | Path, config: ModelConfig) -> NoveltyDetector | None:
    """Return the detector of a model folder, None where its ``config.json`` has none.

    Arguments
    ---------
    folder : str or Path
    config : ModelConfig
        Of the folder, whose files were compared with it.

    Raises
    ------
    LungSRADError
        Where the file is missing, not one of those that belong together, or holds no detector of this version's
        statistics.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write_novelty(folder, NoveltyDetector(np.zeros(2), np.eye(2), 1.0))
    >>> sorted(read_weights(folder / NOVELTY))
    ['limit', 'mean', 'precision']
    """
    stored, folder = config.novelty, Path(folder)
    if stored is None or not stored.available:
        return None
    path = folder / NOVELTY
    if NOVELTY not in config.files:
        raise LungSRADError(f"{folder / CONFIG}: the key 'files.{NOVELTY}' is missing; {CURE}")
    if not path.is_file():
        raise LungSRADError(f"{path}: the file is missing; {CURE}")
    if tuple(stored.statistics) != STATISTICS:
        raise LungSRADError(
            f"{folder / CONFIG}: the detector of unlike sounds is of the statistics {', '.join(stored.statistics)}, "
            f"and this version computes {', '.join(STATISTICS)}; pip install --upgrade lung-srad, or "
            "export the model again"
        )
    tensors = read_weights(path)
    size = len(STATISTICS)
    shapes = {"mean": (size,), "precision": (size, size), "limit": (1,)}
    found = {name: (tuple(value.shape), value.dtype) for name, value in tensors.items()}
    if found != {name: (shape, torch.float64) for name, shape in shapes.items()}:
        held = ", ".join(f"{name} {shape} {str(kind).removeprefix('torch.')}" for name, (shape, kind) in found.items())
        raise LungSRADError(
            f"{path}: holds {held or 'nothing'}; expected float64 of the shapes "
            f"{', '.join(f'{name} {shape}' for name, shape in shapes.items())}; {CURE}"
        )
    mean, precision, limit = (tensors[name].numpy() for name in shapes)
    fault = _fault(mean, precision, limit[0])
    if fault:
        raise LungSRADError(f"{path}: {fault}; {CURE}")
    return NoveltyDetector(mean, precision, float(limit[0]))


def describe_missing(config: ModelConfig | None) -> str:
    """Return why a model folder has no detector, as the rest of a sentence.

    Example
    -------
    >>> describe_missing(None)
    'its folder is of a version that had none; export the model again'
    """
    if config is not None and config.novelty is not None and config.novelty.reason is not None:
        return config.novelty.reason
    return "its folder is of a version that had none; export the model again"


def _fault(mean: np.ndarray, precision: np.ndarray, limit: float) -> str | None:
    if not all(np.isfinite(values).all() for values in (mean, precision, limit)):
        return "holds values that are not finite"
    if limit <= 0:
        return f"the limit is {limit:g}; expected a number above 0"
    if not np.allclose(precision, precision.T) or np.linalg.eigvalsh(precision)[0] <= 0:
        return "precision is not the inverse of a covariance: expected a symmetric, positive definite matrix"
    return None
