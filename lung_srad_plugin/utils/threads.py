"""How threads wait for each other, and how many a container's CPU quota allows."""

import math
import os
import sys
from functools import cache
from pathlib import Path

# Whoever sets one of these has decided how threads wait: OpenMP's own, GNU's and Intel's variable.
WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def wait_passively() -> bool:
    """Let idle threads sleep rather than spin, by ``OMP_WAIT_POLICY=PASSIVE``, unless the user decided otherwise.

    Torch computes with OpenMP, whose threads spin for some milliseconds while they wait for each other. Where another
    program needs the same cores, they keep them from it and from the threads they wait for.

    OpenMP reads the variable once, when torch is loaded. Where torch is loaded already, nothing is changed.

    Returns
    -------
    bool
        Whether the variable was set.
    """
    if "torch" in sys.modules or any(name in os.environ for name in WAIT_VARIABLES):
        return False
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    return True


@cache
def respect_cpu_quota() -> None:
    """Let torch compute with no more threads than the CPU quota of the container allows, rounded up.

    Called where a model is loaded and where training starts; it acts once in a process, so that a number that is set
    later stays. It leaves the number alone where ``OMP_NUM_THREADS`` is set.
    """
    quota = cpu_quota()
    if quota is None or "OMP_NUM_THREADS" in os.environ:
        return
    import torch

    allowed = max(1, math.ceil(quota))
    if torch.get_num_threads() > allowed:
        torch.set_num_threads(allowed)


def compute_alone() -> None:
    """Let torch compute in the calling thread without helpers; other threads keep the number they have.

    Each thread that computes with OpenMP has helpers of its own. One that decodes recordings beside a model would
    otherwise take as many cores again as the model has. ``torch.set_num_threads`` counts for all threads.

    Example
    -------
    >>> import threading, torch
    >>> before, inside = torch.get_num_threads(), []
    >>> def work():
    ...     compute_alone()
    ...     inside.append(torch.get_num_threads())
    >>> thread = threading.Thread(target=work)
    >>> thread.start(); thread.join()
    >>> inside, torch.get_num_threads() == before
    ([1], True)
    """
    import torch
    from threadpoolctl import threadpool_limits

    torch.get_num_threads()  # torch initialises the thread's number at first use, which must not come after the limit
    threadpool_limits(1, user_api="openmp")


def cpu_quota(membership: str | Path = "/proc/self/cgroup", hierarchy: str | Path = "/sys/fs/cgroup") -> float | None:
    """Return how many CPUs the control groups of this process may use at once (Linux, cgroup version 1 or 2).

    The affinity mask, which torch respects by itself, does not show this limit: ``docker run --cpus 2`` sets it on a
    machine of any size.

    Arguments
    ---------
    membership : str or Path
        The file that lists the groups of this process.
    hierarchy : str or Path
        Where control groups are mounted.

    Returns
    -------
    float or None
        The smallest limit of the groups and those above them; None where there is none.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "cgroup").write_text("0::/\\n")
    >>> _ = (folder / "cpu.max").write_text("150000 100000\\n")
    >>> cpu_quota(folder / "cgroup", folder)
    1.5
    """
    try:
        lines = Path(membership).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            limits += _limits(Path(hierarchy), group, _version_2_limit)
        elif "cpu" in controllers.split(","):
            # Mounted under the names of all its controllers, and usually under each.
            for name in {controllers, "cpu"}:
                limits += _limits(Path(hierarchy) / name, group, _version_1_limit)
    return min(limits, default=None)


def _limits(mount, group, read):
    """Limits of a group and of those above it; inside a container, the mount holds only the container's own."""
    group = Path(group.lstrip("/"))
    folders = [mount] if ".." in group.parts else [mount / part for part in (group, *group.parents)]
    return [limit for limit in map(read, folders) if limit is not None]


def _version_2_limit(folder):
    """``cpu.max`` holds the microseconds of CPU time in each period, or "max", and the period."""
    try:
        time, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        return None if time == "max" else int(time) / int(period)
    except (OSError, ValueError):
        return None


def _version_1_limit(folder):
    """``cpu.cfs_quota_us`` holds the microseconds of CPU time in each ``cpu.cfs_period_us``, or -1."""
    try:
        time, period = (
            int((folder / name).read_text(encoding="utf-8")) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        )
        return time / period if time > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
