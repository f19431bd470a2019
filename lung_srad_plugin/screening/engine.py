"""Ray: started on this machine or joined, and recordings streamed through a pool of workers."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.threads import cpu_quota

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem
    from ray.data import Dataset

BLOCK_BYTES = 4 * 2**20  # of recordings that a worker gets at once, and loses when it dies
FILES_OF_A_READER = 256
READER_CPUS = 0.25  # a reader waits for disks and networks
CONNECT_SECONDS = 10.0  # for a cluster to answer at all
_HOST_AND_PORT = re.compile(r"(?:ray://)?\[?(?P<host>[^\[\]/]+)\]?:(?P<port>[0-9]{1,5})")
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@dataclass(frozen=True)
class EngineOptions:
    """Where and with how many workers.

    Arguments
    ---------
    address : str or None
        Of a Ray cluster; None starts Ray on this machine for as long as the screening takes.
    actors : int or None
        Workers; None takes as many as CPUs or GPUs allow.
    gpus_per_actor : float
        0 computes on CPUs.
    object_store_mb : int
        Memory for recordings between reading and the model, on this machine, where Ray is started here.
    """

    address: str | None = None
    actors: int | None = None
    gpus_per_actor: float = 0.0
    object_store_mb: int = 500


def require_ray() -> Any:
    """Return Ray with its data library, which sends no usage statistics.

    Raises
    ------
    LungSRADError
        Where it is not installed, with the cure.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import pyarrow  # noqa: F401
        import ray
        import ray.data
    except ImportError as error:
        raise LungSRADError(
            f"lung-srad screen needs {error.name}, which is not installed; pip install 'lung-srad[screen]'"
        ) from None
    return ray


@contextlib.contextmanager
def ray_session(options: EngineOptions) -> Iterator[int]:
    """Start or join Ray, and give the number of workers; what was started here is ended.

    Where this process is connected to Ray already, that connection is used and kept.

    Raises
    ------
    LungSRADError
        Where the cluster cannot be reached, or cannot hold the workers.
    """
    ray = require_ray()
    _silence()
    connected = ray.is_initialized()
    try:
        if not connected:
            _connect(ray, options)
        yield _count_workers(ray, options)
    finally:
        if not connected:
            ray.shutdown()


def stream_answers(
    data: Dataset, worker: type, arguments: dict[str, Any], workers: int, gpus: float
) -> Iterator[pa.Table]:
    """Yield what workers return for batches of a dataset, as it comes.

    Memory stays bounded: readers stop while blocks of ``BLOCK_BYTES`` wait for workers, as Ray Data's streaming
    execution does, and each worker holds one recording at a time.

    Arguments
    ---------
    data : ray.data.Dataset
    worker : type
        A class whose objects are called with a batch, a ``pyarrow.Table``.
    arguments : dict
        Of its constructor.
    workers : int
    gpus : float
        Of each worker.

    Raises
    ------
    LungSRADError
        Where workers cannot be started, or the cluster is lost.
    """
    import ray.data
    import ray.exceptions

    answered = data.map_batches(
        worker,
        fn_constructor_kwargs=arguments,
        batch_size=1,  # recordings; a worker gets a block of them at a time
        batch_format="pyarrow",
        zero_copy_batch=True,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        num_gpus=gpus or None,
    )
    try:
        yield from answered.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)
    except ray.exceptions.RayError as error:
        raise LungSRADError(f"the workers failed: {_reason(error)}") from error


def read_recordings(paths: list[str], filesystem: FileSystem, workers: int) -> Dataset | None:
    """Return a dataset of ``bytes`` and ``path``, by Ray's own reader; what is missing is left out.

    None where nothing is there, or where the reader cannot so much as look.
    """
    import ray.data

    if not paths:
        return None
    try:
        return ray.data.read_binary_files(
            paths,
            filesystem=filesystem,
            include_paths=True,
            ignore_missing_paths=True,
            num_cpus=READER_CPUS,
            override_num_blocks=min(len(paths), max(2 * workers, len(paths) // FILES_OF_A_READER)),
        )
    except (OSError, ValueError):  # each recording gets its own reason where it is tried by itself
        return None


def name_recordings(paths: list[str]) -> Dataset:
    """Return a dataset of ``path``, each in a block of its own."""
    import pyarrow as pa
    import ray.data

    return ray.data.from_arrow([pa.table({"path": [path]}) for path in paths])


def _connect(ray, options):
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if options.address is not None:
        try:
            _check_reachable(options.address)
            with _no_stderr():
                ray.init(options.address, **quiet)
        except Exception as error:  # ConnectionError, ValueError, and others of Ray
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise LungSRADError(
                f"--address {options.address}: no Ray cluster answers there ({reason}); expected host:port, or auto on "
                "a machine of the cluster"
            ) from error
        return
    with _no_stderr():
        ray.init(
            "local",
            num_cpus=(options.actors or _cores()) + 1,  # one for readers
            object_store_memory=options.object_store_mb * 2**20,
            include_dashboard=False,
            **quiet,
        )


def _check_reachable(address):
    """Raise OSError where nothing listens at an address: Ray would try for minutes."""
    place = _HOST_AND_PORT.fullmatch(address)
    if place is not None:
        socket.create_connection((place["host"], int(place["port"])), CONNECT_SECONDS).close()


@contextlib.contextmanager
def _no_stderr():
    """Drop what Ray's libraries in C++ write while they start; their errors are raised as well."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _cores():
    quota = cpu_quota()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if quota is None else max(1, min(cores, int(quota)))


def _count_workers(ray, options):
    """Return how many workers there shall be."""
    there = ray.cluster_resources()
    cpus, gpus = int(there.get("CPU", 0)), there.get("GPU", 0.0)
    nodes = sum(node["Alive"] for node in ray.nodes())
    most = cpus if options.actors else cpus - nodes  # one CPU of each machine is left to readers
    limit = f"{cpus} CPUs"
    if options.gpus_per_actor:
        by_gpu = int(gpus / options.gpus_per_actor + 1e-9)
        most, limit = min(most, by_gpu), f"{cpus} CPUs and {gpus:g} GPUs"
    wanted = options.actors or max(most, 0 if options.gpus_per_actor else 1)
    if not 0 < wanted <= max(most, 0):
        raise LungSRADError(
            f"{wanted or 1} workers of 1 CPU and {options.gpus_per_actor:g} GPUs each do not fit {limit}; change "
            "--actors or --gpus-per-actor, or name a larger cluster by --address"
        )
    return wanted


def _reason(error):
    """Return the line that says what happened, of the many of Ray's message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    ours = [line.split(": ", 1)[1] for line in lines if line.startswith(f"{LungSRADError.__module__}.")]
    return (ours or lines or [type(error).__name__])[-1]


def _silence():
    """Let Ray write its log to its own files alone; and set what blocks and failures of a dataset are."""
    import ray.data

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    for handler in logging.getLogger("ray.data").handlers:
        if type(handler).__name__ == "PlainRayHandler":
            handler.setLevel(logging.CRITICAL + 1)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = BLOCK_BYTES
    context.max_errored_blocks = -1  # their recordings are tried one by one
