"""One training run at a time in an output folder."""

import contextlib
import json
import logging
import os
import platform
from datetime import datetime, timezone

from filelock import FileLock, Timeout

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.runs.run_folder import RunFolder

# Each attempt would be written into the log of the run.
logging.getLogger("filelock").setLevel(logging.INFO)


class RunLock:
    """A lock on a run's output folder: two runs in one folder would delete each other's checkpoints.

    The operating system holds it for the process, and releases it however the process ends, also when it is killed. A
    file beside it names the process that has it.

    Arguments
    ---------
    run : RunFolder

    Example
    -------
    >>> run = RunFolder(getfixture("tmp_path") / "run")
    >>> lock = RunLock(run)
    >>> lock.acquire()
    >>> RunLock(run).acquire()
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: ...run: in use by process ... on ..., since ...; wait until it ends, ...
    >>> lock.release()
    """

    def __init__(self, run: RunFolder):
        self.run = run
        self._lock = FileLock(run.lock, timeout=0)

    def acquire(self) -> None:
        """Take the lock, making the folder where it is missing.

        Raises
        ------
        LungSRADError
            Where another process has it: naming that process, its host and what to do.
        """
        self.run.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise LungSRADError(
                f"{self.run}: in use by {self._owner()}; wait until it ends, end it, or choose another output_folder"
            ) from None
        owner = {
            "host": platform.node(),
            "process": os.getpid(),
            "since": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC",
        }
        self.run.lock_owner.write_text(json.dumps(owner) + "\n", encoding="utf-8")

    def release(self) -> None:
        """Give the lock back; nothing happens where it was not taken."""
        if self._lock.is_locked:
            self.run.lock_owner.unlink(missing_ok=True)
            self._lock.release()

    def _owner(self):
        # The other process may have the lock and not have written its name yet.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            owner = json.loads(self.run.lock_owner.read_text(encoding="utf-8"))
            return f"process {owner['process']} on {owner['host']}, since {owner['since']}"
        return "another process"
