"""Folders by names that users type: whether there is one, which one may be meant, and how a name is shown."""

import difflib
import os
from pathlib import Path

SIMILARITY = 0.75  # of two names, from 0 to 1, at which one may be meant by the other


def nearest_folder(path: str | Path) -> str | None:
    """Return the folder here whose path is most like one that does not exist, None where none is like it.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "results" / "export").mkdir(parents=True)
    >>> nearest_folder(folder / "resutls" / "exprot") == str(folder / "results" / "export")
    True
    """
    found, corrected = Path(), False
    for part in Path(path).parts:
        if not is_folder(found / part):
            try:
                names = [entry.name for entry in os.scandir(found) if entry.is_dir()]
            except OSError:
                break
            near = difflib.get_close_matches(part[:255], names, n=1, cutoff=SIMILARITY)
            if not near:
                break
            part, corrected = near[0], True
        found = found / part
    return str(found) if corrected else None


def is_folder(path: str | Path) -> bool:
    """Return whether a folder of this name exists; no name is an error.

    Example
    -------
    >>> is_folder("x" * 5000), is_folder("a\\0b"), is_folder(".")
    (False, False, True)
    """
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # a name that no file can have
        return False


def shorten_name(name: str | Path, limit: int = 200) -> str:
    """Return a name for a message: quoted where it is empty, shortened where it is too long to be read.

    Example
    -------
    >>> shorten_name("model"), shorten_name(""), shorten_name("x" * 5000, limit=10)
    ('model', "''", 'xxxxxxxxxx… (5,000 characters)')
    """
    text = str(name)
    return (text or repr(text)) if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"
