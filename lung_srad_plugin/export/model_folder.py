"""What an exported model folder holds, and the checks that SpeechBrain does not make."""

import json
import pickle
from pathlib import Path

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.provenance import file_sha256

# Raise it when a folder of the new layout cannot be read by the code of the old one.
FORMAT = 1

CONFIG = "config.json"
HYPERPARAMS = "hyperparams.yaml"
LABEL_ENCODER = "label_encoder.ckpt"
WEIGHTS = ("embedding_model", "classifier")
CARD = "README.md"
LICENSE = "LICENSE"
ONNX = "model.onnx"

# What must be there to classify; the others are for people and for other programs.
NEEDED = (CONFIG, HYPERPARAMS, LABEL_ENCODER, *(f"{name}.ckpt" for name in WEIGHTS))
OPTIONAL = (CARD, LICENSE, ONNX, f"{ONNX}.data", *(f"{name}.safetensors" for name in WEIGHTS))

CURE = "copy the whole folder again, or write it anew with: lung-srad export RUN FOLDER"


def read_config(folder):
    """Return ``config.json`` of a model folder.

    Raises
    ------
    LungSRADError
        Where the folder is none, lacks a needed file, or was written by a version that this one does not understand.

    Example
    -------
    >>> read_config("no/such/folder")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: no/such/folder: no such folder; expected a model that lung-srad export wrote
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise LungSRADError(f"{folder}: no such folder; expected a model that lung-srad export wrote")
    if (folder / "save").is_dir() and not (folder / CONFIG).exists():
        raise LungSRADError(
            f"{folder}: this is the output of a training run, not a model; use {folder / 'export'}, or export another "
            f"checkpoint with: lung-srad export {folder} FOLDER"
        )
    for name in NEEDED:
        if not (folder / name).is_file():
            raise LungSRADError(f"{folder / name}: the file is missing; {CURE}")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LungSRADError(f"{folder / CONFIG}: not valid JSON ({error}); {CURE}") from None
    _check_stamp(config, folder / CONFIG)
    return config


def _check_stamp(config, path):
    keys = ("format", "model", "labels", "sample_rate", "duration", "frames", "files", "versions")
    missing = [key for key in keys if not isinstance(config, dict) or key not in config]
    if missing:
        raise LungSRADError(f"{path}: the key {missing[0]!r} is missing; {CURE}")
    if config["format"] != FORMAT:
        wrote = config["versions"].get("lung-srad", "another version")
        cure = "pip install --upgrade lung-srad" if config["format"] > FORMAT else "export the model again"
        raise LungSRADError(
            f"{path}: the folder has format {config['format']}, written by lung-srad {wrote}, and this version reads "
            f"format {FORMAT}; {cure}"
        )


def check_files(folder, config):
    """Check that the files of a folder are those that were exported together.

    Raises
    ------
    LungSRADError
        Where a file has another content than ``config.json`` says.
    """
    for name, expected in config["files"].items():
        path = Path(folder) / name
        if path.is_file() and file_sha256(path) != expected:
            raise LungSRADError(
                f"{path}: not the file that this model was exported with (its SHA-256 differs from {CONFIG}); {CURE}"
            )


def check_weights(module, path):
    """Check that a file holds every weight of a module, each of the right shape, and nothing else.

    Arguments
    ---------
    module : torch.nn.Module
        As built from ``hyperparams.yaml``.
    path : str or Path
        A file of its ``state_dict``.

    Raises
    ------
    LungSRADError
        With the names of what is missing, unexpected or misshapen.

    Example
    -------
    >>> import torch
    >>> path = getfixture("tmp_path") / "layer.ckpt"
    >>> torch.save({"weight": torch.zeros(2, 3)}, path)
    >>> check_weights(torch.nn.Linear(3, 2), path)
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: ...layer.ckpt: does not fit the model of hyperparams.yaml: missing bias; ...
    """
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LungSRADError(f"{path}: not a readable file of weights ({reason}); {CURE}") from None
    expected = module.state_dict()
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise LungSRADError(f"{path}: holds no weights by name; {CURE}")
    faults = []
    if missing := sorted(set(expected) - set(found)):
        faults.append(f"missing {_name_some(missing)}")
    if unexpected := sorted(set(found) - set(expected)):
        faults.append(f"unexpected {_name_some(unexpected)}")
    misshapen = [
        f"{name} is {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    if misshapen:
        faults.append(f"misshapen {_name_some(misshapen)}")
    if faults:
        raise LungSRADError(f"{path}: does not fit the model of {HYPERPARAMS}: {'; '.join(faults)}; {CURE}")


def _name_some(names, limit=5):
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
