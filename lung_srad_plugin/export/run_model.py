"""The model that a run trained: built from the run's settings, as modules with weights and as yaml nodes to export."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from operator import getitem
from pathlib import Path
from typing import Any

import torch
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.tag import Tag

from lung_srad_plugin.audio.fbank import KaldiFbank
from lung_srad_plugin.audio.features import CycleFeatures
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_folder import WEIGHTS
from lung_srad_plugin.export.weights import load_weights, read_weights
from lung_srad_plugin.nn.adapters import add_adapters, load_adapter_weights, merged
from lung_srad_plugin.runs.allowed_callables import RUN_RULES, TRUST
from lung_srad_plugin.runs.run_folder import ADAPTERS, RunFolder
from lung_srad_plugin.runs.saved_settings import read_saved_text
from lung_srad_plugin.utils.text import printable
from lung_srad_plugin.utils.yaml_nodes import build_checked

FEATURES, NORMALIZATION = "compute_features", "mean_var_norm"
# Settings without which nothing can be exported.
REQUIRED = (*WEIGHTS, FEATURES, NORMALIZATION, "labels", "duration", "sample_rate")

# The front end of runs of version 0.1, with duration and sample rate in keys of their own.
_OLD_FRONT_END = "!new:lung_srad_plugin.KaldiFbank"
# Settings of training and of one machine, which an exported model must not depend on.
_MACHINE = ("scan_backend", "gradient_checkpointing")
# What settings compute of constants: the exported yaml has the result.
_CONSTANTS: dict[str | None, Callable] = {"!apply:operator.getitem": getitem, "!apply:len": len}


@dataclass(frozen=True)
class RunModel:
    """What a checkpoint of a run classifies with.

    Arguments
    ---------
    nodes : dict
        By name of the module, its yaml nodes for the exported ``hyperparams.yaml``.
    modules : dict
        ``compute_features``, ``mean_var_norm``, ``embedding_model`` and ``classifier`` in evaluation mode, with the
        checkpoint's weights.
    merged_encoder : torch.nn.Module or None
        What to export of an encoder with adapters: one in which they are part of the weights.
    """

    nodes: dict[str, Any]
    modules: dict[str, Any]
    merged_encoder: torch.nn.Module | None = None


def read_run_settings(path: str | Path, trust_code: bool = False) -> CommentedMap:
    """Return the settings of a run as yaml nodes; nothing is built.

    Arguments
    ---------
    path : str or Path
        The run's ``hyperparams.yaml``.
    trust_code : bool
        As for ``read_saved_text``.

    Raises
    ------
    LungSRADError
        As ``read_saved_text``, and where a key is missing.
    """
    settings = YAML().load(read_saved_text(path, trust_code))
    for key in REQUIRED:
        if key not in settings:
            raise LungSRADError(f"{path}: the key {key!r} is missing; expected the hyperparameters of a training run")
    return settings


def build_run_model(settings: CommentedMap, run: RunFolder, checkpoint: Path, trust_code: bool = False) -> RunModel:
    """Build what a run trained and fill it with the weights of a checkpoint.

    Arguments
    ---------
    settings : CommentedMap
        As of ``read_run_settings``.
    run : RunFolder
        Where the settings come from; it holds the frozen weights of an encoder with adapters.
    checkpoint : Path
        The folder of a checkpoint.
    trust_code : bool
        Whether the settings may call anything.

    Raises
    ------
    LungSRADError
        Where the settings build no model, or the weights do not fit it.
    """
    origin = str(run.settings_file)
    with _errors_named(origin):
        nodes = {FEATURES: _front_end(settings)}
        nodes |= {name: _portable(settings[name]) for name in (NORMALIZATION, *WEIGHTS)}
        modules = _build(dump_nodes(nodes), origin, trust_code)
    if not isinstance(modules[FEATURES], CycleFeatures):
        found = type(modules[FEATURES]).__name__
        raise LungSRADError(f"{origin}: {FEATURES} is {found}; expected CycleFeatures, the front end to be exported")
    merged_encoder = None
    for name in WEIGHTS:
        if name == "embedding_model" and has_adapters(settings):
            merged_encoder = _load_adapted(modules[name], settings, run, checkpoint)
        else:
            load_weights(modules[name], checkpoint / f"{name}.ckpt")
    if modules[NORMALIZATION].state_dict():
        # Statistics of the training part: two numbers, so that the folder needs no further file.
        load_weights(modules[NORMALIZATION], checkpoint / f"{NORMALIZATION}.ckpt")
        nodes[NORMALIZATION].update({key: value.item() for key, value in modules[NORMALIZATION].state_dict().items()})
    for module in modules.values():
        module.eval()
    return RunModel(nodes, modules, merged_encoder)


def checkpoint_files(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the files in a checkpoint of a run that an export needs.

    Example
    -------
    >>> checkpoint_files({"lora_rank": 8})
    ('adapters.ckpt', 'classifier.ckpt')
    """
    names = (ADAPTERS if name == "embedding_model" and has_adapters(settings) else name for name in WEIGHTS)
    return tuple(f"{name}.ckpt" for name in names)


def has_adapters(settings: Mapping[str, Any]) -> bool:
    """Return whether the encoder of a run with these settings has adapters."""
    return settings.get("lora_rank") is not None


def _load_adapted(encoder, settings, run, checkpoint):
    """Fill an encoder with its frozen weights, add its adapters with theirs, and return it merged too."""
    load_weights(encoder, run.frozen_encoder)
    values = (_portable(settings[f"lora_{key}"]) for key in ("rank", "alpha", "dropout", "targets"))
    with torch.random.fork_rng(devices=[]):
        add_adapters(encoder, *values)
    path = checkpoint / f"{ADAPTERS}.ckpt"
    load_adapter_weights(encoder, read_weights(path), path)
    return merged(encoder)


def dump_nodes(tree: dict[str, Any]) -> str:
    """Return yaml nodes as text without anchors."""
    text = StringIO()
    yaml = YAML()
    yaml.indent(mapping=4)
    yaml.representer.ignore_aliases = lambda *_: True
    yaml.dump(tree, text)
    return text.getvalue()


@contextmanager
def _errors_named(origin: str) -> Iterator[None]:
    """Name the settings where anything fails that they ask for."""
    try:
        yield
    except LungSRADError:
        raise
    except Exception as error:  # of whatever kind the callables raise
        reason = printable((str(error).strip().splitlines() or [""])[0])
        raise LungSRADError(
            f"{origin}: the model cannot be built ({type(error).__name__}: {reason}); expected the hyperparameters of "
            "a training run"
        ) from error


def _build(text: str, origin: str, trust_code: bool) -> dict[str, torch.nn.Module]:
    # Weights are drawn at random before they are filled in; that must not move the user's generator.
    with torch.random.fork_rng(devices=[]):
        modules = load_hyperpyyaml(text) if trust_code else build_checked(text, origin, RUN_RULES, cure=TRUST)
    for name, module in modules.items():
        if not isinstance(module, torch.nn.Module):
            raise LungSRADError(f"{origin}: the key {name!r} is {type(module).__name__}; expected a torch module")
    return modules


def _front_end(settings: CommentedMap) -> CommentedMap:
    """Return the node of the ``CycleFeatures`` of a run; one of version 0.1 has a ``KaldiFbank`` and keys apart."""
    node = _portable(settings[FEATURES])
    if _tag(node) != _OLD_FRONT_END:
        return node
    duration, sample_rate = (_scalar(settings[key]) for key in ("duration", "sample_rate"))
    features = CycleFeatures.around(KaldiFbank(**node), duration, sample_rate)
    inputs = {"duration": duration, "sample_rate": sample_rate}
    node = CommentedMap({**inputs, "frames": features.fbank.frames, "n_mels": features.fbank.n_mels})
    node.yaml_set_ctag(Tag(suffix="!new:lung_srad_plugin.CycleFeatures"))
    return node


def _portable(node: Any) -> Any:
    """Copy yaml nodes without anchors, comments and settings of the machine, with constants computed."""
    tag = _tag(node)
    copy: CommentedMap | CommentedSeq
    if tag in _CONSTANTS:
        return _CONSTANTS[tag](*(_portable(part) for part in node))
    if isinstance(node, dict):
        copy = CommentedMap((key, _portable(value)) for key, value in node.items() if key not in _MACHINE)
    elif isinstance(node, list):
        copy = CommentedSeq(_portable(value) for value in node)
        copy.fa.set_flow_style()
    elif tag:  # a tagged scalar: a class without arguments
        copy = CommentedMap()
    else:
        return _scalar(node)
    if tag:
        copy.yaml_set_ctag(node.tag)
    return copy


def _tag(node: Any) -> str | None:
    return getattr(getattr(node, "tag", None), "value", None)


def _scalar(value: Any) -> Any:
    """Return a plain value of what ruamel reads, which remembers how it was written."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
