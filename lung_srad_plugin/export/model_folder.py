"""The files of a model folder, and reading those that need no model: ``config.json`` and the card."""

import json
from pathlib import Path

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_config import ModelConfig, parse_config
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.utils.folders import is_folder, nearest_folder, shorten_name
from lung_srad_plugin.utils.provenance import file_sha256

CONFIG = "config.json"
HYPERPARAMS = "hyperparams.yaml"
LABEL_ENCODER = "label_encoder.ckpt"
WEIGHTS = ("embedding_model", "classifier")
CARD = "README.md"
LICENSE = "LICENSE"
ONNX = "model.onnx"

# What SpeechBrain's own class needs; the others are for people and for other programs.
NEEDED = (CONFIG, HYPERPARAMS, LABEL_ENCODER, *(f"{name}.ckpt" for name in WEIGHTS))

CURE = "copy the whole folder again, or write it anew with: lung-srad export RUN FOLDER"

LONGEST_TEXT = 1_000_000  # bytes of a text file


def read_config(folder: str | Path) -> ModelConfig:
    """Return what ``config.json`` of a model folder says; nothing of the folder is built.

    Raises
    ------
    LungSRADError
        Where the folder is none, lacks a needed file, was written by a version that this one does not understand, or
        where ``config.json`` does not follow its schema.

    Example
    -------
    >>> read_config("no/such/folder")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: no/such/folder: no such folder; expected a model that lung-srad export wrote
    """
    folder = Path(folder)
    if not is_folder(folder):
        near = nearest_folder(folder)
        hint = f"; did you mean {near}?" if near else ""
        raise LungSRADError(
            f"{shorten_name(folder)}: no such folder; expected a model that lung-srad export wrote{hint}"
        )
    run = RunFolder(folder)
    if run.checkpoints.is_dir() and not (folder / CONFIG).exists():
        raise LungSRADError(
            f"{folder}: this is the output of a training run, not a model; use {run.export}, or export another "
            f"checkpoint with: lung-srad export {folder} FOLDER"
        )
    for name in NEEDED:
        # Of weights, either file will do.
        stem = name.removesuffix(".ckpt")
        other = folder / f"{stem}.safetensors"
        if not (folder / name).is_file() and not (stem in WEIGHTS and other.is_file()):
            raise LungSRADError(f"{folder / name}: the file is missing; {CURE}")
    path = folder / CONFIG
    try:
        content = json.loads(read_text(path))
    except RecursionError:
        raise LungSRADError(f"{path}: nested too deeply; {CURE}") from None
    except ValueError as error:
        if isinstance(error, LungSRADError):
            raise
        raise LungSRADError(f"{path}: not valid JSON ({error}); {CURE}") from None
    config = parse_config(content, str(path), CURE)
    for name in (HYPERPARAMS, LABEL_ENCODER):
        if name not in config.files:
            raise LungSRADError(f"{path}: the key 'files.{name}' is missing; {CURE}")
    return config


def read_card(folder: str | Path) -> str:
    """Return the text of a model's card, without control characters, which would reach the terminal.

    Raises
    ------
    LungSRADError
        Where there is no card, or it is not a text file.
    """
    path = Path(folder) / CARD
    if not path.is_file():
        raise LungSRADError(f"{path}: the model has no card; export it again, or ask who gave it to you")
    text = read_text(path)
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


def read_text(path: Path) -> str:
    """Return the text of one of the folder's small files.

    Raises
    ------
    LungSRADError
        Where it cannot be read, is far too long, or is not UTF-8.
    """
    try:
        if path.stat().st_size > LONGEST_TEXT:
            raise LungSRADError(f"{path}: {path.stat().st_size:,} bytes; expected at most {LONGEST_TEXT:,}; {CURE}")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise LungSRADError(f"{path}: not a UTF-8 text file (byte {error.start}: {error.reason}); {CURE}") from None
    except OSError as error:
        raise LungSRADError(f"{path}: cannot be read ({error.strerror or error}); {CURE}") from None


def check_files(folder: str | Path, config: ModelConfig) -> None:
    """Check that the files of a folder are those that were exported together.

    This protects against accidents. Whoever changes a folder on purpose can change its ``config.json`` too.

    Raises
    ------
    LungSRADError
        Where a file has another content than ``config.json`` says.
    """
    for name, expected in config.files.items():
        path = Path(folder) / name
        if path.is_file() and file_sha256(path) != expected:
            raise LungSRADError(
                f"{path}: not the file that this model was exported with (its SHA-256 differs from {CONFIG}); {CURE}"
            )
