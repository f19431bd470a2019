"""The weights that an encoder begins with: a file of published ones, or those of a model folder."""

from pathlib import Path
from typing import Any, cast

import torch

from lung_srad_plugin.encoders.base import Encoder
from lung_srad_plugin.encoders.pretrained import hub_files, load_pretrained
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_folder import HYPERPARAMS
from lung_srad_plugin.export.stored_model import read_model
from lung_srad_plugin.export.weights import find_weights, read_weights
from lung_srad_plugin.inference.starter_model import model_path
from lung_srad_plugin.utils.folders import is_folder
from lung_srad_plugin.utils.provenance import file_sha256

# The settings of an experiment by the names of the encoder's arguments, where they are not the same.
SETTINGS = {"norm": "encoder_norm"}
SHOWN = 3


def load_initial_weights(hparams: dict[str, Any]) -> dict[str, str] | None:
    """Load the pretrained weights into the encoder; return their source and SHA-256, None for random weights.

    Arguments
    ---------
    hparams : dict
        The built experiment. ``pretrained`` names published weights as for ``load_pretrained``, or is a model folder,
        ``starter`` for the model that comes with the package, or None.

    Raises
    ------
    LungSRADError
        Where the weights cannot be had, are not those of ``pretrained_sha256``, or do not fit the encoder.
    """
    source, sha256 = hparams["pretrained"], hparams["pretrained_sha256"]
    if source is None:
        return None
    encoder = hparams["embedding_model"]
    path = model_path(source)
    published = all((path / name).is_file() for name in hub_files(encoder)) and not (path / HYPERPARAMS).is_file()
    if is_folder(path) and not (hub_files(encoder) and published):
        found = load_model_weights(encoder, path, source, sha256)
    else:
        found = load_pretrained(encoder, source, hparams["save_folder"], sha256)
    return {"source": str(source), "sha256": found}


def load_model_weights(encoder: Encoder, folder: str | Path, name: str | Path, sha256: str | None = None) -> str:
    """Load the encoder's weights of a model folder into an encoder of the same sizes; the classifier is left out.

    Arguments
    ---------
    encoder : Encoder
    folder : str or Path
        The model folder.
    name : str or Path
        What the user called it, for messages.
    sha256 : str or None
        The checksum that its file of weights must have; None accepts any.

    Returns
    -------
    str
        The SHA-256 of the file of weights.

    Raises
    ------
    LungSRADError
        Where the folder is faulty, its weights have another checksum, or its encoder has other sizes, with the settings
        that fit it.
    """
    stored = cast(Encoder, read_model(folder).modules["embedding_model"])
    module = cast(torch.nn.Module, encoder)
    path = find_weights(folder, "embedding_model")
    found = file_sha256(path)
    if sha256 is not None and found != sha256.lower():
        raise LungSRADError(f"{path}: its SHA-256 is {found}, expected {sha256}; choose the model that was meant")
    if type(stored) is not type(encoder):
        raise LungSRADError(
            f"pretrained: the encoder of {name} is a {type(stored).__name__}, the one to train a "
            f"{type(encoder).__name__}; give a model of that kind, or its published weights"
        )
    weights, expected = read_weights(path), module.state_dict()
    unlike = sorted(
        key
        for key in {**weights, **expected}
        if key not in weights or key not in expected or weights[key].shape != expected[key].shape
    )
    if unlike:
        more = f" and {len(unlike) - SHOWN} more" if len(unlike) > SHOWN else ""
        raise LungSRADError(
            f"pretrained: the encoder of {name} does not fit this one: {', '.join(unlike[:SHOWN])}{more} are missing "
            f"or of another shape; add {_sizes(stored, encoder)}"
        )
    module.load_state_dict(weights)
    return found


def _sizes(stored: Encoder, encoder: Encoder) -> str:
    """Return the options that give an encoder the sizes of a stored one."""
    here = encoder.configuration()
    differing = {
        key: value
        for key, value in stored.configuration().items()
        if key != "drop_path_rate" and here.get(key) != value  # no weight depends on the rate
    }
    return " ".join(
        f'--{SETTINGS.get(key, key)} "{value}"' if isinstance(value, list) else f"--{SETTINGS.get(key, key)} {value}"
        for key, value in differing.items()
    )
