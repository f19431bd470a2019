"""The files of a data folder: found, measured by their headers, compared with each other."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.files import RESULT_MARK
from lung_srad_plugin.utils.provenance import file_sha256
from lung_srad_plugin.utils.text import printable


def files_below(root: Path) -> list[Path]:
    """Return all visible files below a folder, sorted.

    Hidden files, ``__MACOSX`` folders and results of ``lung-srad classify`` are ignored; linked folders are followed,
    each folder once.

    Arguments
    ---------
    root : pathlib.Path

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    LungSRADError
        Where a folder cannot be read.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("b.wav", ".hidden", "a.txt", "a.lung-srad.txt"):
    ...     (folder / name).touch()
    >>> [path.name for path in files_below(folder)]
    ['a.txt', 'b.wav']
    """
    files, seen = [], set()
    for folder, subfolders, names in os.walk(root, onerror=_refuse_folder, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name != "__MACOSX")
        files += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(file for file in files if not file.stem.endswith(RESULT_MARK))


def _refuse_folder(error):
    raise LungSRADError(
        f"{printable(error.filename)}: the folder cannot be read: {error.strerror}; give yourself the right to read it"
    ) from error


def audio_seconds(path: Path) -> tuple[float | None, str | None]:
    """Return the length of a recording, or ``None`` and what is wrong with it.

    Arguments
    ---------
    path : pathlib.Path

    Returns
    -------
    (float or None, str or None)

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> path.touch()
    >>> audio_seconds(path)
    (None, 'empty file')
    """
    try:
        if path.stat().st_size == 0:
            return None, "empty file"
        with audio_source(path).open_audio() as file:
            frames, rate = file.frames, file.samplerate
    except OSError as error:
        return None, f"cannot be opened: {error.strerror}"
    except LungSRADError as error:
        return None, str(error).removeprefix(f"{path}: ")
    if frames == 0:
        return None, "holds no samples"
    return frames / rate, None


def equal_files(paths: Iterable[Path]) -> list[list[Path]]:
    """Return the groups of files with the same content; empty files are in none.

    Arguments
    ---------
    paths : iterable of pathlib.Path

    Returns
    -------
    list of list of pathlib.Path
        Groups of two or more, each in the order given; links to nothing are in none.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name, content in {"a": "one", "b": "two", "c": "one"}.items():
    ...     _ = (folder / name).write_text(content)
    >>> [[path.name for path in group] for group in equal_files(sorted(folder.iterdir()))]
    [['a', 'c']]
    """
    groups: dict[object, list[Path]] = {}
    for path in paths:
        # A link to nothing has no content to compare.
        if path.is_file() and (size := path.stat().st_size):
            groups.setdefault(size, []).append(path)
    # Recordings of a data set often have one of a few sizes: the middle of the file distinguishes nearly all of them.
    for digest in (_digest_of_middle, file_sha256):
        finer: dict[object, list[Path]] = {}
        for key, members in groups.items():
            for path in members if len(members) > 1 else ():
                finer.setdefault((key, digest(path)), []).append(path)
        groups = finer
    return [members for members in groups.values() if len(members) > 1]


def _digest_of_middle(path):
    with path.open("rb") as file:
        file.seek(path.stat().st_size // 2)
        return hashlib.sha256(file.read(1 << 16)).digest()
