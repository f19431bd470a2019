"""A model folder read back: checked, built, and filled with its weights."""

from dataclasses import dataclass
from pathlib import Path

import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.dataio.encoder import CategoricalEncoder

from lung_srad_plugin.audio.features import CycleFeatures
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.allowed_callables import MODEL_RULES, TRUST
from lung_srad_plugin.export.model_config import ModelConfig
from lung_srad_plugin.export.model_folder import (
    CONFIG,
    CURE,
    HYPERPARAMS,
    LABEL_ENCODER,
    WEIGHTS,
    check_files,
    read_config,
    read_text,
)
from lung_srad_plugin.export.novelty_file import read_novelty
from lung_srad_plugin.export.weights import find_weights, load_weights
from lung_srad_plugin.metrics.novelty import NoveltyDetector
from lung_srad_plugin.utils.text import printable
from lung_srad_plugin.utils.yaml_nodes import build_checked

MODULES = ("compute_features", "mean_var_norm", "embedding_model", "classifier")


@dataclass(frozen=True)
class StoredModel:
    """The parts of a model folder.

    Arguments
    ---------
    folder : Path
    config : ModelConfig
    modules : dict
        ``compute_features``, ``mean_var_norm``, ``embedding_model`` and ``classifier``, with their weights, on the CPU.
    hparams : dict
        All that ``hyperparams.yaml`` describes.
    novelty : NoveltyDetector or None
        The detector of sounds unlike the training sounds; None where the folder has none.
    """

    folder: Path
    config: ModelConfig
    modules: dict[str, torch.nn.Module]
    hparams: dict
    novelty: NoveltyDetector | None = None


def read_model(
    folder: str | Path,
    hparams_file: str = HYPERPARAMS,
    overrides: dict | str | None = None,
    overrides_must_match: bool = True,
    trust_code: bool = False,
) -> StoredModel:
    """Build the modules of a model folder and fill them with its weights, after checking every file.

    The files are compared with the hashes of ``config.json`` before anything is built.

    Arguments
    ---------
    folder : str or Path
    hparams_file : str
        Name of the hyperparameter file.
    overrides : dict or str, optional
        Changes to it.
    overrides_must_match : bool
        Whether an override of a key that is not there is an error.
    trust_code : bool
        False: the hyperparameter file may call what an export contains, and nothing else. True: it may call anything,
        so that loading the folder may run any code.

    Returns
    -------
    StoredModel

    Raises
    ------
    LungSRADError
        Where a file is missing, changed or faulty, does not fit the others, or calls what is not allowed.

    Example
    -------
    >>> read_model("no/such/folder")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: no/such/folder: no such folder; expected a model that lung-srad export wrote
    """
    folder = Path(folder)
    config = read_config(folder)
    check_files(folder, config)
    label_encoder = _read_label_encoder(folder / LABEL_ENCODER, config.labels)
    novelty = read_novelty(folder, config)
    hparams = _build(folder / hparams_file, overrides or {}, overrides_must_match, trust_code)
    _check_hparams(hparams, folder / hparams_file, config)
    modules = hparams["modules"]
    for name in WEIGHTS:
        load_weights(modules[name], find_weights(folder, name))
    hparams["label_encoder"] = label_encoder
    return StoredModel(folder, config, modules, hparams, novelty)


def _build(path: Path, overrides: dict | str, overrides_must_match: bool, trust_code: bool) -> dict:
    if not path.is_file():
        raise LungSRADError(f"{path}: no such hyperparameter file")
    text = read_text(path)
    # Weights are drawn at random before they are filled in; that must not move the user's generator.
    with torch.random.fork_rng(devices=[]):
        try:
            if not trust_code:
                return build_checked(text, str(path), MODEL_RULES, overrides, overrides_must_match, cure=TRUST)
            with open(path, encoding="utf-8") as file:
                return load_hyperpyyaml(file, overrides, overrides_must_match)
        except LungSRADError:
            raise
        except Exception as error:  # of whatever kind the callables raise
            reason = printable((str(error).strip().splitlines() or [""])[0])
            raise LungSRADError(
                f"{path}: the model cannot be built ({type(error).__name__}: {reason}); {CURE}"
            ) from error


def _check_hparams(hparams: dict, path: Path, config: ModelConfig) -> None:
    for key in ("modules", "pretrainer", "label_encoder", "sample_rate"):
        if key not in hparams:
            raise LungSRADError(f"{path}: the key {key!r} is missing; {CURE}")
    modules = hparams["modules"]
    if not isinstance(modules, dict):
        raise LungSRADError(f"{path}: the key 'modules' holds no modules by name; {CURE}")
    for name in MODULES:
        if not isinstance(modules.get(name), torch.nn.Module):
            raise LungSRADError(f"{path}: modules has no {name!r}, or it is no torch module; {CURE}")
    features = modules["compute_features"]
    if not isinstance(features, CycleFeatures):
        raise LungSRADError(f"{path}: compute_features is {type(features).__name__}, not CycleFeatures; {CURE}")
    loadables = getattr(hparams["pretrainer"], "loadables", ())
    if set(loadables) != {*WEIGHTS, "label_encoder"} or hparams["pretrainer"].paths:
        raise LungSRADError(
            f"{path}: the pretrainer must load {', '.join(WEIGHTS)} and label_encoder from the folder itself; {CURE}"
        )
    found = {
        "sample_rate": hparams["sample_rate"],
        "duration": features.duration,
        "frames": features.fbank.frames,
    }
    for key, value in (*found.items(), ("sample_rate", features.sample_rate)):
        if value != getattr(config, key):
            raise LungSRADError(
                f"{path}: {key} is {value}, but the model was trained with {getattr(config, key)} ({CONFIG})"
            )


def _read_label_encoder(path: Path, labels: list[str]) -> CategoricalEncoder:
    read_text(path)  # a text file of a decent length
    encoder = CategoricalEncoder()
    try:
        encoder.load(path)
        found = [encoder.ind2lab[index] for index in range(len(encoder.ind2lab))]
    except Exception as error:  # of whatever kind the parsing of a wrong file meets
        raise LungSRADError(f"{path}: not a label encoder ({type(error).__name__}); {CURE}") from None
    if found != labels:
        names = printable(", ".join(map(str, found)))
        raise LungSRADError(f"{path}: holds the labels {names}, but the model has {', '.join(labels)}; {CURE}")
    encoder.expect_len(len(labels))
    return encoder
