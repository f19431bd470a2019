"""Executing the runs of a grid, several at a time, each in its own process; a failure is reported, the rest runs on."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timezone

from lung_srad_plugin.ablation.runs import LOG, Run, mark_finished, prepare_folder
from lung_srad_plugin.errors import LungSRADError

POLL_SECONDS = 0.2
# Long enough for a step of a large model to end; after that the run is killed, from which it resumes too.
GRACE_SECONDS = 10
TAIL_LINES = 15
# Environment variables that set the number of threads of computations on a CPU.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Failure:
    """A run that did not come to results: its ``run``, exit ``code`` and the ``tail`` of its log."""

    run: Run
    code: int
    tail: str

    @property
    def ended(self):
        """How it ended, in words; a negative code is the signal that ended it.

        Example
        -------
        >>> Failure(None, -9, "").ended, Failure(None, 2, "").ended
        ('ended by SIGKILL', 'exit code 2')
        """
        return f"ended by {signal.Signals(-self.code).name}" if self.code < 0 else f"exit code {self.code}"


def make_slots(devices=None, jobs=None):
    """Return the device of each slot in which a run can execute, None for the recipe's own choice.

    Arguments
    ---------
    devices : list of str, optional
        Such as ``["cuda:0", "cuda:1"]``.
    jobs : int, optional
        How many runs at a time; by default one for each device.

    Raises
    ------
    LungSRADError
        Where jobs is below 1 or leaves a device without work, or a device is named twice.

    Example
    -------
    >>> make_slots(["cuda:0", "cuda:1"], jobs=4)
    ['cuda:0', 'cuda:1', 'cuda:0', 'cuda:1']
    >>> make_slots(jobs=2)
    [None, None]
    """
    devices = devices or [None]
    if len(set(devices)) < len(devices) or "" in devices:
        raise LungSRADError(
            f"devices {','.join(devices)}: expected each once, with commas between; --jobs repeats them"
        )
    jobs = len(devices) if jobs is None else jobs
    if jobs < len(devices):
        raise LungSRADError(f"jobs={jobs}: expected at least one for each of the {len(devices)} devices")
    return [devices[number % len(devices)] for number in range(jobs)]


def launch_subprocess(run, device, threads=None):
    """Start a run in its own process and process group, its output appended to ``output.log`` in its folder.

    Arguments
    ---------
    run : Run
        Its folder is ready.
    device : str or None
        Where it computes.
    threads : int, optional
        Threads of its computations on a CPU; by default what the environment or torch says.

    Returns
    -------
    subprocess.Popen
    """
    command = [sys.executable, "-m", "lung_srad_plugin.ablation.worker", str(run.experiment)]
    command += [] if device is None else ["--device", device]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    environment |= dict.fromkeys(THREAD_VARIABLES, str(threads)) if threads else {}
    with open(run.folder / LOG, "a", encoding="utf-8") as log:
        log.write(f"--- {datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC: {' '.join(command)}\n")
        log.flush()
        # In its own session, Ctrl-C reaches only the parent, which then stops the run. The open stdin tells the run
        # that its parent lives.
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def execute(runs, slots, launch=launch_subprocess, report=lambda event, run, value: None):
    """Run all runs, as many at a time as there are slots.

    However this function ends, by Ctrl-C too, it stops the runs in progress first; started again, they resume from
    their checkpoints.

    Arguments
    ---------
    runs : list of Run
    slots : list of (str or None)
        The device of each slot, as of ``make_slots``.
    launch : callable
        Starts a run: ``launch(run, device)`` returns something with the ``poll``, ``terminate``, ``wait(timeout)`` and
        ``kill`` of ``subprocess.Popen``. Tests give one that trains in this very process, and has ended on return.
    report : callable
        Called as ``report("started", run, device)``, ``report("finished", run, seconds)`` and
        ``report("failed", run, Failure)``.
    """
    waiting, working = deque(runs), {}
    try:
        while waiting or working:
            for slot in [slot for slot in range(len(slots)) if slot not in working][: len(waiting)]:
                run = waiting.popleft()
                prepare_folder(run)
                report("started", run, slots[slot])
                began = time.monotonic()
                working[slot] = run, launch(run, slots[slot]), began
            ended = [slot for slot, (_, process, _) in working.items() if process.poll() is not None]
            for slot in ended:
                run, process, began = working.pop(slot)
                code = process.poll()
                if code == 0 and run.results() is not None:
                    mark_finished(run)
                    report("finished", run, time.monotonic() - began)
                else:
                    report("failed", run, Failure(run, code, log_tail(run)))
            if not ended:
                time.sleep(POLL_SECONDS)
    finally:
        _stop([process for _, process, _ in working.values()])


def log_tail(run):
    """Return the last lines of a run's log; empty where it has none."""
    try:
        lines = (run.folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-TAIL_LINES:])


def _stop(processes):
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        try:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
