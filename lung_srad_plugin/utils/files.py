"""Text files that are written whole or not at all."""

import os
from pathlib import Path


def write_together(texts):
    """Write several text files; a failure leaves whatever stood there before.

    All files are first written in full beside their final places and then moved there, which replaces each of them in
    one step. Line ends are ``\\n`` on every system, so that the same text gives the same bytes.

    Arguments
    ---------
    texts : dict
        Path to text. The folders are made where they are missing. Files are moved in this order.

    Raises
    ------
    OSError
        Where a file cannot be written, for example on a full disk.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write_together({folder / "a.txt": "one\\n", folder / "b.txt": "two\\n"})
    >>> sorted(path.name for path in folder.iterdir())
    ['a.txt', 'b.txt']
    """
    staged = {}
    try:
        for path, text in texts.items():
            path = Path(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Beside its final place, because only within one file system is a move a single step.
            beside = path.with_name(f".{path.name}.{os.getpid()}.part")
            staged[beside] = path
            with beside.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        for beside, path in staged.items():
            beside.replace(path)
    finally:
        for beside in staged:
            beside.unlink(missing_ok=True)
