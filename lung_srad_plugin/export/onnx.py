"""A model as one ONNX file: front end, encoder and head, for any batch size and any length of recording."""

import contextlib
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from packaging.version import Version

from lung_srad_plugin.audio.cycles import shape_cycle
from lung_srad_plugin.audio.sound_statistics import frame_step, sound_statistics, statistics_bands
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_folder import ONNX
from lung_srad_plugin.export.onnx_features import ONNXFeatures
from lung_srad_plugin.export.onnx_metadata import onnx_metadata
from lung_srad_plugin.export.stored_model import read_model
from lung_srad_plugin.metrics.novelty import NoveltyDetector

TOLERANCE = 1e-4  # of log-probabilities, between torch and onnxruntime
OPSET = 20

WAVEFORMS, WHOLE, LOG_PROBS, UNLIKE = "waveforms", "whole_recordings", "log_probs", "unlike_training_score"

_AFTER_FEATURES = ("mean_var_norm", "embedding_model", "classifier")


class _Classifier(torch.nn.Module):
    """From waveforms to log-probabilities and, with a detector, to how unlike the training sounds they are."""

    def __init__(self, modules, novelty):
        super().__init__()
        self.features = ONNXFeatures(modules["compute_features"])
        self.rest = torch.nn.ModuleDict({name: modules[name] for name in _AFTER_FEATURES})
        self.novelty = None if novelty is None else _Novelty(modules["compute_features"], novelty)

    def forward(self, waveforms, whole):
        feats = self.features(waveforms, whole)
        log_probs = _log_probs(self.rest, feats)
        return log_probs if self.novelty is None else (log_probs, self.novelty(feats))


class _Novelty(torch.nn.Module):
    """What ``NoveltyDetector.scores`` gives for log-mel features, in float32."""

    def __init__(self, features, detector):
        super().__init__()
        self.bands, self.step = statistics_bands(features), frame_step(features)
        self.register_buffer("mean", torch.from_numpy(detector.mean).float())
        scaled = detector.precision / detector.limit**2
        self.register_buffer("precision", torch.from_numpy(scaled).float())

    def forward(self, feats):
        away = sound_statistics(feats, self.bands, self.step) - self.mean
        return ((away @ self.precision) * away).sum(dim=1).clamp(min=0).sqrt()


def _log_probs(modules, feats):
    embeddings = modules["embedding_model"](modules["mean_var_norm"](feats))
    return modules["classifier"](embeddings).squeeze(1)


def export_onnx(folder, trust_code=False, destination=None):
    """Write a model folder's ``model.onnx``, and check it against torch in onnxruntime.

    The file takes ``waveforms`` (batch, samples), float32, one channel at the model's sample rate and longer than
    1/16 s, and gives ``log_probs`` (batch, classes): the same as ``classify_batch``. Where the folder has a detector,
    it gives ``unlike_training_score`` (batch,) too. The second input, ``whole_recordings``, is true where it is left
    out; false means that the waveforms are parts of recordings that have their fades and their gain, as the windows of
    ``classify_file`` are. What a program needs to cut such windows is in the file's metadata, see ``onnx_metadata``.

    Arguments
    ---------
    folder : str or Path
        A model folder.
    trust_code : bool
        As for ``read_model``.
    destination : str or Path, optional
        Where to write; by default ``model.onnx`` in the folder.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    LungSRADError
        Where the packages of the extra ``[onnx]`` are not installed, torch is older than 2.10, or the answers differ by
        more than ``TOLERANCE``.
    """
    check_exporter()
    path = Path(destination or Path(folder) / ONNX)
    model = read_model(folder, trust_code=trust_code)
    metadata = onnx_metadata(model.config, model.modules["compute_features"], model.novelty is not None)
    write_onnx(model.modules, path, model.novelty, metadata)
    _verify(path, model.modules)
    return path


def can_export(torch_version: str) -> bool:
    """Say whether a release of torch writes the ONNX file; those before 2.10 fix the number of clips or their length.

    Arguments
    ---------
    torch_version : str
        Such as ``2.10.0`` or ``2.10.0+cpu``.

    Example
    -------
    >>> can_export("2.9.1"), can_export("2.10.0")
    (False, True)
    """
    return Version(torch_version) >= Version("2.10")


def check_exporter() -> None:
    """Raise a ``LungSRADError`` where a package of the extra ``[onnx]`` is not installed, or torch is too old."""
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401 - torch.onnx needs it, and says so late
    except ImportError as error:
        raise LungSRADError(
            f'a model.onnx needs {error.name}, which is not installed; pip install "lung-srad[onnx]"'
        ) from None
    if not can_export(torch.__version__):
        raise LungSRADError(
            f"torch {torch.__version__} cannot write this model.onnx, torch from 2.10 on can; install it in an "
            'environment of its own, with: pip install "lung-srad[onnx]"'
        )


def _verify(path, modules):
    """Compare an ONNX file with torch, on waveforms shorter and longer than the model's duration, whole and cut."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of each input that may be left out
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    features = modules["compute_features"]
    for batch, seconds in ((1, 0.4 * features.duration), (2, 1.2 * features.duration)):
        clips = 0.1 * torch.randn(batch, round(seconds * features.sample_rate), generator=generator)
        shaped = shape_cycle(clips, features.duration, features.sample_rate)
        for whole, feats in ((True, features(clips)), (False, features.fbank(shaped))):
            with torch.no_grad():
                expected = _log_probs(modules, feats)
            found = session.run([LOG_PROBS], {WAVEFORMS: clips.numpy(), WHOLE: np.array(whole)})[0]
            difference = (torch.from_numpy(found) - expected).abs().max().item()
            if not difference <= TOLERANCE:
                raise LungSRADError(
                    f"{path}: answers otherwise than torch (log-probabilities of {batch} clips of {seconds:g} s differ "
                    f"by {difference:.2g}); nothing was written. Please report this"
                )


def write_onnx(
    modules: Mapping[str, Any],
    path: str | Path,
    novelty: NoveltyDetector | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the modules of a classifier as an ONNX file.

    Arguments
    ---------
    modules : mapping
        ``compute_features`` (a ``CycleFeatures``), ``mean_var_norm``, ``embedding_model`` (an ``Encoder``) and
        ``classifier``.
    path : str or Path
        Where to write.
    novelty : NoveltyDetector, optional
        The detector of unlike sounds.
    metadata : mapping, optional
        Texts by name, which the file then holds.
    """
    import onnx_ir

    model = _Classifier(modules, novelty).eval()
    clips = torch.zeros(2, 3 * modules["compute_features"].sample_rate)
    # No shorter than a ramp, as in torch.
    shapes = ({0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("samples", min=model.features.ramp)}, None)
    with modules["embedding_model"].onnx_export(), torch.no_grad(), _quiet():
        program: Any = torch.onnx.export(
            model,
            (clips, torch.ones((), dtype=torch.bool)),
            dynamo=True,
            opset_version=OPSET,
            input_names=[WAVEFORMS, WHOLE],
            output_names=[LOG_PROBS] if novelty is None else [LOG_PROBS, UNLIKE],
            dynamic_shapes=shapes,
            verbose=False,
        )
    graph = program.model.graph
    # An input with an initializer may be left out.
    whole = graph.inputs[1]
    whole.const_value = onnx_ir.tensor(np.array(True), name=WHOLE)
    graph.register_initializer(whole)
    program.model.metadata_props.update(metadata or {})
    program.save(path, external_data=False)


@contextlib.contextmanager
def _quiet():
    """Keep the exporter's remarks about its own workings from people who only want the file."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
