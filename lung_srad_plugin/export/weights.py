"""Weights of a model folder or a checkpoint: read without running code, and checked against the module they are for."""

import pickle
from pathlib import Path

import torch

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_folder import CURE, HYPERPARAMS
from lung_srad_plugin.utils.text import printable


def find_weights(folder: str | Path, name: str) -> Path:
    """Return the file with the weights of a module: ``<name>.safetensors``, or ``<name>.ckpt`` where there is none."""
    path = Path(folder) / f"{name}.safetensors"
    return path if path.is_file() else path.with_suffix(".ckpt")


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file of weights by name, on the CPU; no code of the file is run.

    Arguments
    ---------
    path : str or Path
        A ``.safetensors`` file, or a ``.ckpt`` that ``torch.save`` wrote of a ``state_dict``.

    Raises
    ------
    LungSRADError
        Where it cannot be read, or holds anything but dense tensors with values.

    Example
    -------
    >>> path = getfixture("tmp_path") / "layer.ckpt"
    >>> torch.save({"weight": torch.zeros(2, 3).to_sparse()}, path)
    >>> read_weights(path)
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: ...layer.ckpt: weight is a sparse_coo tensor; expected dense ...
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        else:
            with torch.sparse.check_sparse_tensor_invariants():  # sparse tensors are refused below, but built here
                found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (
        *(RuntimeError, OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, NotImplementedError),
        *(pickle.UnpicklingError, SafetensorError),
    ) as error:
        # torch's own words of an UnpicklingError advise to load the file all the same.
        advice = isinstance(error, pickle.UnpicklingError) or not str(error)
        reason = "it is damaged, or holds more than tensors" if advice else printable(str(error).splitlines()[0])
        raise LungSRADError(f"{path}: not a readable file of weights ({reason}); {CURE}") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise LungSRADError(f"{path}: holds no weights by name; {CURE}")
    for name, value in found.items():
        if not isinstance(value, torch.Tensor):
            raise LungSRADError(f"{path}: holds no weights by name: {name} is {type(value).__name__}; {CURE}")
        kind = _unusual_kind(value)
        if kind is not None:
            raise LungSRADError(f"{path}: {name} is {kind}; expected dense tensors of numbers; {CURE}")
    return found


def _unusual_kind(tensor: torch.Tensor) -> str | None:
    if tensor.is_meta:
        return "a meta tensor, which has no values"
    if tensor.layout != torch.strided:
        return f"a {str(tensor.layout).removeprefix('torch.')} tensor"
    if tensor.is_quantized or tensor.is_complex() or tensor.is_nested:
        return f"of type {str(tensor.dtype).removeprefix('torch.')}"
    return None


def load_weights(module: torch.nn.Module, path: str | Path) -> None:
    """Fill a module with the weights of a file, which must hold each of them, in the right shape, and nothing else.

    Arguments
    ---------
    module : torch.nn.Module
        As built from ``hyperparams.yaml``.
    path : str or Path
        As for ``read_weights``.

    Raises
    ------
    LungSRADError
        As ``read_weights``, and with the names of what is missing, unexpected or misshapen.

    Example
    -------
    >>> path = getfixture("tmp_path") / "layer.ckpt"
    >>> torch.save({"weight": torch.zeros(2, 3)}, path)
    >>> load_weights(torch.nn.Linear(3, 2), path)
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: ...layer.ckpt: does not fit the model of hyperparams.yaml: missing bias; ...
    """
    found, expected = read_weights(path), module.state_dict()
    faults = []
    if missing := sorted(set(expected) - set(found)):
        faults.append(f"missing {_name_some(missing)}")
    if unexpected := sorted(set(found) - set(expected)):
        faults.append(f"unexpected {_name_some(unexpected)}")
    misshapen = [
        f"{name} is {_describe(found[name])} instead of {_describe(expected[name])}"
        for name in expected
        if name in found and _describe(found[name]) != _describe(expected[name])
    ]
    if misshapen:
        faults.append(f"misshapen {_name_some(misshapen)}")
    if faults:
        raise LungSRADError(f"{path}: does not fit the model of {HYPERPARAMS}: {'; '.join(faults)}; {CURE}")
    module.load_state_dict(found)


def _describe(tensor: torch.Tensor) -> str:
    return f"{tuple(tensor.shape)}{'' if tensor.is_floating_point() else ' of whole numbers'}"


def _name_some(names: list[str], limit: int = 5) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
