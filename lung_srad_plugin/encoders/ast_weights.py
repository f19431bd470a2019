"""The published weights of AST, read by transformers, which knows the names of each of its versions."""

import contextlib
from pathlib import Path
from typing import Any

import torch

from lung_srad_plugin.errors import LungSRADError

CLASSIFIER = "classifier."  # of AudioSet's 527 classes; left out
_SHOWN = 5


def read_ast_weights(path: Path, sizes: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return the state dict of transformers' ``ASTModel`` of a published file, after checking that it is complete.

    Arguments
    ---------
    path : Path
        ``model.safetensors``; ``config.json`` is beside it.
    sizes : dict
        The arguments of the ``ASTEncoder`` that it is for.

    Raises
    ------
    LungSRADError
        Where a file is absent or unreadable, the sizes are others, or weights are missing, unexpected or misshapen.
    """
    from transformers import ASTConfig, ASTModel

    config_file = path.with_name("config.json")
    for file in (config_file, path):
        if not file.is_file():
            raise LungSRADError(f"{file}: no such file; AST's weights are model.safetensors with config.json beside it")
    if path.name != "model.safetensors":
        raise LungSRADError(f"{path}: expected the file model.safetensors, as the hub has it")
    try:
        config = ASTConfig.from_pretrained(path.parent, local_files_only=True)
        _check_sizes(config_file, config, sizes)
        with _quiet():
            loaded: Any = ASTModel.from_pretrained(
                path.parent,
                config=config,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are listed then, and refused here
                dtype=torch.float32,
            )
    except LungSRADError:
        raise
    except Exception as error:  # a broken file raises any of a dozen exceptions
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise LungSRADError(f"{path}: not readable as weights of AST ({reason}); download it again") from error
    model, info = loaded
    unexpected = [name for name in info["unexpected_keys"] if not name.startswith(CLASSIFIER)]
    misshapen = [str(name[0] if isinstance(name, tuple) else name) for name in info["mismatched_keys"]]
    problems = [
        f"{what}: {_some(names)}"
        for what, names in (
            ("missing", info["missing_keys"]),
            ("unexpected", unexpected),
            ("of another shape", misshapen),
        )
        if names
    ]
    if problems:
        raise LungSRADError(f"{path}: no complete weights of AST; {'; '.join(problems)}. Download it again")
    return model.state_dict()


def read_ast_sizes(config_file: Path) -> dict[str, Any]:
    """Return the arguments of the ``ASTEncoder`` that a ``config.json`` of the hub's layout describes.

    Raises
    ------
    LungSRADError
        Where transformers is not installed, or the file cannot be read.
    """
    try:
        from transformers import ASTConfig
    except ImportError:
        raise LungSRADError('AST needs transformers; pip install "lung-srad[transformers]"') from None
    try:
        return _sizes_of(ASTConfig.from_pretrained(config_file.parent, local_files_only=True))
    except Exception as error:  # of whatever kind transformers raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise LungSRADError(f"{config_file}: not readable as the configuration of AST ({reason})") from error


def _sizes_of(config):
    grid = [
        (extent - config.patch_size) // stride + 1
        for extent, stride in (
            (config.num_mel_bins, config.frequency_stride),
            (config.max_length, config.time_stride),
        )
    ]
    return {
        "hidden_size": config.hidden_size,
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "intermediate_size": config.intermediate_size,
        "patch_size": config.patch_size,
        "stride": config.time_stride,
        "grid": grid,
    }


def _check_sizes(config_file, config, sizes):
    found = _sizes_of(config)
    unlike = [f"{key} is {value}, here {sizes[key]}" for key, value in found.items() if value != sizes[key]]
    if config.frequency_stride != config.time_stride:
        unlike.append(f"its strides differ: {config.frequency_stride} and {config.time_stride}")
    if unlike:
        raise LungSRADError(f"{config_file}: an AST of other sizes: {'; '.join(unlike)}; choose the same")


def _some(names):
    names = sorted(names)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


@contextlib.contextmanager
def _quiet():
    """Keep transformers' report of what it loaded from the user: it is checked here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
