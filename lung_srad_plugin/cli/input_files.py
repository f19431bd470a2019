"""From the arguments of the command line to the recordings that are meant."""

import os
from collections.abc import Sequence
from pathlib import Path

from lung_srad_plugin.annotations.files import BESIDE
from lung_srad_plugin.archive.listing import RecordingList
from lung_srad_plugin.audio.endings import AUDIO_ENDINGS
from lung_srad_plugin.errors import LungSRADError

# What the names of annotations end in.
ANNOTATION_ENDINGS = tuple({f".{ending.rsplit('.', 1)[-1].lower()}" for ending in BESIDE})


def find_recordings(patterns: Sequence[str]) -> list[Path]:
    """Return the recordings that files, folders and patterns stand for, as ``RecordingList`` does; no file twice, by
    whichever links it is named.

    A file that is named is taken whatever its name ends in, and also where it does not exist: opening it will tell.

    Arguments
    ---------
    patterns : list of str

    Raises
    ------
    LungSRADError
        As ``RecordingList``.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("b.wav", "a.flac", "a.txt"):
    ...     (folder / name).touch()
    >>> [path.name for path in find_recordings([str(folder), str(folder / "*.wav")])]
    ['a.flac', 'b.wav']
    """
    found: dict[str, Path] = {}
    for file in RecordingList(patterns, AUDIO_ENDINGS):
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


def split_annotation(patterns: Sequence[str]) -> tuple[list[str], Path | None]:
    """Return what names recordings, and the annotation file among it; None where there is none.

    Arguments
    ---------
    patterns : list of str
        Of ``lung-srad classify --annotations``.

    Raises
    ------
    LungSRADError
        Where an annotation stands beside anything but one recording: whose it is would be a guess.

    Example
    -------
    >>> split_annotation(["a.wav", "listened.TextGrid"])
    (['a.wav'], PosixPath('listened.TextGrid'))
    >>> split_annotation(["a.wav", "b.wav"])
    (['a.wav', 'b.wav'], None)
    """
    named = [text for text in patterns if text.lower().endswith(ANNOTATION_ENDINGS) and not os.path.isdir(text)]  # noqa: PTH112
    recordings = [text for text in patterns if text not in named]
    if not named:
        return recordings, None
    if len(named) > 1 or len(recordings) != 1 or os.path.isdir(recordings[0]):  # noqa: PTH112
        raise LungSRADError(
            f"{', '.join(named)}: an annotation that is named belongs to one recording, which is named with it; of "
            "several recordings, put each annotation beside its recording and name the recordings alone"
        )
    return recordings, Path(named[0])
