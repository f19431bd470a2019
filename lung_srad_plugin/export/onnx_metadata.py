"""What an ONNX file says about its model: enough to classify recordings as ``classify`` does, from the file alone."""

import json
from collections.abc import Mapping
from typing import Any

from lung_srad_plugin.audio.cycles import FADE_SECONDS
from lung_srad_plugin.audio.features import CycleFeatures
from lung_srad_plugin.audio.levels import BLOCK_SECONDS, INT16_GAIN, QUANTILE, SILENT_RMS, TARGET_RMS
from lung_srad_plugin.datasets.synthetic.marker import trained_on_synthetic
from lung_srad_plugin.export.model_config import ModelConfig, default_hop
from lung_srad_plugin.metrics.uncertainty import UNCERTAIN_BELOW
from lung_srad_plugin.version import __version__


def onnx_metadata(config: ModelConfig, features: CycleFeatures, detector: bool) -> dict[str, str]:
    """Return the ``metadata_props`` of a model's ONNX file.

    Arguments
    ---------
    config : ModelConfig
        Of the model folder.
    features : CycleFeatures
        Its front end.
    detector : bool
        Whether the file computes how unlike the training sounds a waveform is.

    Returns
    -------
    dict
        ``model``, ``version`` (of lung-srad), ``sample_rate`` and ``duration`` as plain text; ``labels`` and
        ``classify`` as JSON: how a recording is prepared, cut into windows and judged.

    Example
    -------
    >>> config = ModelConfig(format=1, model="demo-1a2b", labels=["normal", "crackle"], sample_rate=16000,
    ...     duration=8.0, frames=None, versions={}, files={})
    >>> found = onnx_metadata(config, CycleFeatures(), detector=False)
    >>> found["labels"], found["sample_rate"], found["duration"]
    ('["normal", "crackle"]', '16000', '8.0')
    >>> sorted(json.loads(found["classify"]))[:4]
    ['fade_seconds', 'hop', 'level', 'merging']
    """
    return {
        "model": config.model,
        "version": __version__,
        "labels": json.dumps(config.labels, ensure_ascii=False),
        "sample_rate": str(config.sample_rate),
        "duration": str(config.duration),
        "classify": json.dumps(_classify(config, features, detector), ensure_ascii=False),
    }


def _classify(config: ModelConfig, features: CycleFeatures, detector: bool) -> Mapping[str, Any]:
    rule, calibration = config.timeline, config.calibration
    return {
        "fade_seconds": FADE_SECONDS,
        "level": _level(features.level),
        "window": config.duration if rule is None else rule.window,
        "hop": default_hop(config.duration) if rule is None else rule.hop,
        "merging": "mean" if rule is None else rule.merging,
        "thresholds": {} if rule is None else dict(rule.thresholds),
        "min_duration": 0.0 if rule is None else rule.min_duration,
        "temperature": None if calibration is None else calibration.temperature,
        "operating_points": [point.model_dump() for point in config.operating_points or ()],
        "uncertain_below": UNCERTAIN_BELOW if config.uncertainty is None else config.uncertainty.below,
        "unlike_training": detector,
        "trained_on_synthetic": trained_on_synthetic(config.model_dump()),
    }


def _level(level: str) -> dict[str, Any]:
    """Return how a recording's gain is computed."""
    if level == "rms":
        numbers = {"target": TARGET_RMS, "block_seconds": BLOCK_SECONDS, "quantile": QUANTILE, "silent": SILENT_RMS}
        return {"kind": level, **numbers}
    return {"kind": level, "gain": INT16_GAIN if level == "int16" else 1.0}
