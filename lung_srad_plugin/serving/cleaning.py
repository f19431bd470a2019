"""Removing what the page's server no longer needs: its uploads and the files it made of them."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

PERIOD = 30.0  # seconds between two looks
MAX_AGE = 3600.0  # seconds that a file stays, so that a page that is open can still play and download
KEPT_UPLOADS = 40  # as many of the greatest size may be kept at once


def remove_old_files(folder: str | os.PathLike, age: float, total: int) -> None:
    """Remove files of a folder that are older than an age, and then the oldest until few enough bytes are left.

    Arguments
    ---------
    folder : str or Path
    age : float
        In seconds.
    total : int
        Bytes that may stay.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "a.wav").write_bytes(bytes(100))
    >>> remove_old_files(folder, age=60, total=100)
    >>> [path.name for path in folder.iterdir()]
    ['a.wav']
    >>> remove_old_files(folder, age=60, total=99)
    >>> list(folder.iterdir())
    []
    """
    found = []
    for parent, _, names in os.walk(Path(folder)):
        for name in names:
            path = Path(parent, name)
            with contextlib.suppress(OSError):  # gone by now
                status = path.lstat()
                found.append((status.st_mtime, status.st_size, path))
    left, oldest = sum(size for _, size, _ in found), time.time() - age
    for changed, size, path in sorted(found):
        if changed >= oldest and left <= total:
            break
        left -= size
        with contextlib.suppress(OSError):
            path.unlink()
    for parent, _, _ in os.walk(Path(folder), topdown=False):
        if Path(parent) != Path(folder):
            with contextlib.suppress(OSError):  # not empty
                Path(parent).rmdir()


@contextlib.asynccontextmanager
async def keep_clean(folder: str | os.PathLike, total: int) -> AsyncIterator[None]:
    """Remove old files of a folder now and then while this is open."""

    async def clean() -> None:
        while True:
            await asyncio.sleep(PERIOD)
            await asyncio.to_thread(remove_old_files, folder, MAX_AGE, total)

    task = asyncio.create_task(clean())
    try:
        yield
    finally:
        task.cancel()
