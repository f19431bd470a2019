"""Refusing to run a model after a fork: the threads of OpenMP do not survive one."""

import os

from lung_srad_plugin.errors import LungSRADError

_used_in: int | None = None


def check_process() -> None:
    """Note that a model runs in this process.

    Raises
    ------
    LungSRADError
        Where a model ran already in the process that this one was forked from. Without this check OpenMP would let
        the process hang, or end it.

    Example
    -------
    >>> check_process()
    """
    global _used_in
    if _used_in is None:
        _used_in = os.getpid()
    elif _used_in != os.getpid():
        raise LungSRADError(
            "this process was forked from one that had run a model, whose OpenMP threads do not survive a fork; start "
            "processes with multiprocessing.get_context('spawn'), or run the model for the first time after the fork"
        )
