"""A model as one ONNX file: front end, encoder and head, for any batch size and any length of recording."""

import contextlib
import logging
import warnings
from pathlib import Path

import torch

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_folder import ONNX
from lung_srad_plugin.export.onnx_features import ONNXFeatures
from lung_srad_plugin.export.stored_model import read_model

TOLERANCE = 1e-4  # of log-probabilities, between torch and onnxruntime
OPSET = 20


_AFTER_FEATURES = ("mean_var_norm", "embedding_model", "classifier")


class _WaveformsToLogProbs(torch.nn.Module):
    def __init__(self, modules):
        super().__init__()
        self.features = ONNXFeatures(modules["compute_features"])
        self.rest = torch.nn.ModuleDict({name: modules[name] for name in _AFTER_FEATURES})

    def forward(self, waveforms):
        return _log_probs(self.rest, self.features(waveforms))


def _log_probs(modules, feats):
    embeddings = modules["embedding_model"](modules["mean_var_norm"](feats))
    return modules["classifier"](embeddings).squeeze(1)


def export_onnx(folder, trust_code=False):
    """Write ``model.onnx`` into a model folder, and check it against torch in onnxruntime.

    The file takes ``waveforms`` (batch, samples), float32, one channel at the model's sample rate, each a recording of
    more than 1/16 s, and gives ``log_probs`` (batch, classes): the same as ``classify_batch``.

    Arguments
    ---------
    folder : str or Path
        A model folder.
    trust_code : bool
        As for ``read_model``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    LungSRADError
        Where the packages of the extra ``[onnx]`` are not installed, or the answers differ by more than ``TOLERANCE``.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch.onnx needs it, and says so late
    except ImportError as error:
        raise LungSRADError(
            f'--onnx needs {error.name}, which is not installed; pip install "lung-srad[onnx]"'
        ) from None
    path = Path(folder) / ONNX
    modules = read_model(folder, trust_code=trust_code).modules
    write_onnx(modules, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    features = modules["compute_features"]
    for batch, seconds in ((1, 0.4 * features.duration), (2, 1.2 * features.duration)):
        clips = 0.1 * torch.randn(batch, round(seconds * features.sample_rate), generator=generator)
        with torch.no_grad():
            expected = _log_probs(modules, features(clips))
        found = torch.from_numpy(session.run(None, {"waveforms": clips.numpy()})[0])
        difference = (found - expected).abs().max().item()
        if not difference <= TOLERANCE:
            raise LungSRADError(
                f"{path}: answers otherwise than torch (log-probabilities of {batch} clips of {seconds:g} s differ by "
                f"{difference:.2g}); nothing was written. Please report this"
            )
    return path


def write_onnx(modules, path):
    """Write the modules of a classifier as an ONNX file.

    Arguments
    ---------
    modules : mapping
        ``compute_features`` (a ``CycleFeatures``), ``mean_var_norm``, ``embedding_model`` (an ``Encoder``) and
        ``classifier``.
    path : str or Path
        Where to write.
    """
    model = _WaveformsToLogProbs(modules).eval()
    clips = torch.zeros(2, 3 * modules["compute_features"].sample_rate)
    # No shorter than a ramp, as in torch.
    shapes = ({0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("samples", min=model.features.ramp)},)
    with modules["embedding_model"].onnx_export(), torch.no_grad(), _quiet():
        program = torch.onnx.export(
            model,
            (clips,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["waveforms"],
            output_names=["log_probs"],
            dynamic_shapes=shapes,
            verbose=False,
        )
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
