"""From the arguments of the command line to the recordings that are meant."""

import glob
import os
from pathlib import Path

from lung_srad_plugin.audio.endings import AUDIO_ENDINGS
from lung_srad_plugin.errors import LungSRADError


def find_recordings(patterns):
    """Return the recordings that files, folders and patterns stand for: sorted within each, no file twice.

    A file that is named is taken whatever its name ends in, and also where it does not exist: opening it will tell.

    Arguments
    ---------
    patterns : list of str
        Paths of files; folders, which are searched with all their subfolders; patterns with ``*``, ``?``, ``[]`` and
        ``**``, for shells that leave them to the program.

    Returns
    -------
    list of Path

    Raises
    ------
    LungSRADError
        Where a folder or a pattern holds no recording.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("b.wav", "a.flac", "a.txt"):
    ...     (folder / name).touch()
    >>> [path.name for path in find_recordings([str(folder), str(folder / "*.wav")])]
    ['a.flac', 'b.wav']
    """
    found = {}
    for pattern in patterns:
        path = Path(pattern)
        if os.path.isdir(path):  # noqa: PTH112 - a Path raises for a name that is too long
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in AUDIO_ENDINGS and file.is_file())
        elif os.path.lexists(path) or not glob.has_magic(pattern):
            inside = [path]
        else:
            names = glob.iglob(pattern, recursive=True)  # noqa: PTH207 - a Path takes no absolute pattern
            inside = sorted(Path(name) for name in names if Path(name).is_file())
        if not inside:
            raise LungSRADError(f"{pattern}: no recording is there; expected audio files that libsndfile or PyAV reads")
        for file in inside:
            found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def result_names(recordings):
    """Return a name for the result of each recording, without an ending and no two alike.

    The name of the recording where that is enough, else its path below the folder that all of them share.

    Example
    -------
    >>> [str(name) for name in result_names([Path("x/a.wav"), Path("x/b.wav")])]
    ['a', 'b']
    >>> [name.as_posix() for name in result_names([Path("x/1/a.wav"), Path("x/2/a.wav"), Path("x/2/a.flac")])]
    ['1/a.wav', '2/a.wav', '2/a.flac']
    """
    stems = [Path(path.stem) for path in recordings]
    # Some file systems do not distinguish capital letters.
    if len({str(stem).lower() for stem in stems}) == len(stems):
        return stems
    full = [Path(os.path.realpath(path)) for path in recordings]
    shared = next(parent for parent in full[0].parents if all(path.is_relative_to(parent) for path in full))
    return [path.relative_to(shared) for path in full]
