"""The processes that torchrun starts for one run: joining and leaving their group, and what they agree on."""

import contextlib
import gc
import importlib
from collections.abc import Callable
from typing import Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.run_opts import RunOptions

from lung_srad_plugin.errors import LungSRADError


def join_process_group(run_opts: RunOptions) -> None:
    """Join the processes that ``torchrun`` started; nothing happens where it started none.

    Arguments
    ---------
    run_opts : speechbrain.utils.run_opts.RunOptions
        SpeechBrain's run options; ``distributed_backend`` is used.
    """
    if torch.distributed.is_available():
        # A default argument of its functions holds the group that exists when it is imported, as long as Python runs.
        # torch imports it with the first wrapped model; now there is no group yet.
        importlib.import_module("torch.distributed.nn.functional")
    sb.utils.distributed.ddp_init_group(run_opts)


def leave_process_group() -> None:
    """Leave the group once nothing uses it any more; nothing happens where there is none.

    gloo's threads end with the last reference to the group. A thread that still frees a tensor while Python ends would
    abort the process, after all its work was done.
    """
    gc.collect()
    with contextlib.suppress(AssertionError, ValueError):
        torch.distributed.destroy_process_group()


def count_processes() -> int:
    """Return how many processes share the run; 1 where torchrun started none."""
    return torch.distributed.get_world_size() if _has_group() else 1


def gather_from_processes(value: Any) -> list:
    """Return the value of each process, in the order of their ranks; only this one where there is no other.

    Example
    -------
    >>> gather_from_processes(3)
    [3]
    """
    if not _has_group():
        return [value]
    values = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def run_on_main(function: Callable, *arguments: Any) -> None:
    """Call a function in the main process while the others wait; its ``LungSRADError`` is raised in all of them.

    Arguments
    ---------
    function : callable
    arguments
        Of the function.

    Raises
    ------
    LungSRADError
        What the function raised.
    """
    problem = None
    if if_main_process():
        try:
            function(*arguments)
        except LungSRADError as error:
            problem = str(error)
    if _has_group():
        shared = [problem]
        torch.distributed.broadcast_object_list(shared, src=0)
        problem = shared[0]
    if problem is not None:
        raise LungSRADError(problem)


def true_in_all_processes(value: bool, device: str | torch.device) -> bool:
    """Return whether ``value`` is true in every process, so that all of them decide alike.

    Arguments
    ---------
    value : bool
        Of this process.
    device : str or torch.device
        Where the processes exchange tensors.

    Returns
    -------
    bool

    Example
    -------
    >>> true_in_all_processes(True, "cpu"), true_in_all_processes(False, "cpu")
    (True, False)
    """
    if not _has_group():
        return value
    flag = torch.tensor(int(value), device=device)
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MIN)
    return bool(flag)


def _has_group():
    return torch.distributed.is_available() and torch.distributed.is_initialized()
