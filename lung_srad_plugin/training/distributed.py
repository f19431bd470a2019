"""The group of processes that share a run: joined before the data is read, left before Python ends."""

import contextlib
import gc
import importlib

import speechbrain as sb
import torch


def join_process_group(run_opts):
    """Join the processes that ``torchrun`` started; nothing happens where it started none.

    Arguments
    ---------
    run_opts : speechbrain.utils.run_opts.RunOptions
        SpeechBrain's run options; ``distributed_backend`` is used.
    """
    if torch.distributed.is_available():
        # Its functions keep the group that exists when they are imported, as a default argument, for ever. torch
        # imports it with the first wrapped model; imported now, it finds none to keep.
        importlib.import_module("torch.distributed.nn.functional")
    sb.utils.distributed.ddp_init_group(run_opts)


def leave_process_group():
    """Leave the processes joined, once nothing uses them any more; nothing happens where none were.

    gloo's threads end with the last reference to the group. A thread that still lets go of a tensor while Python ends
    would abort the process, after all its work was done.
    """
    gc.collect()
    with contextlib.suppress(AssertionError, ValueError):
        torch.distributed.destroy_process_group()


def true_in_all_processes(value, device):
    """Return whether ``value`` is true in every process, so that all of them decide alike; there may be only one.

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
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    flag = torch.tensor(int(value), device=device)
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MIN)
    return bool(flag)
