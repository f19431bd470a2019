"""Finds what belongs to SPRSound below a folder, whichever way its files were published.

``BioCAS2022/train2022_wav``, ``train2022_json``, ``test2022_wav``, ``test2022_json/inter_test_json`` and
``intra_test_json``; the same without the year; ``Classification/train_classification_json`` and so on;
``BioCAS2023/test2023_json`` and its like for later years. The part is that of the folders above an annotation; the
recording of the same name lies anywhere.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from lung_srad_plugin.datasets.catalogue import check_data_folder, refuse_empty_folder, refuse_other_data_set
from lung_srad_plugin.datasets.folder import files_below
from lung_srad_plugin.datasets.sprsound.record import SPRSOUND

AUDIO_ENDINGS = (".wav", ".flac")


@dataclass
class Layout:
    """The files of a data folder, each list sorted.

    Arguments
    ---------
    root : pathlib.Path
        The data folder.
    audio : list of pathlib.Path
        Recordings, whatever their names.
    annotations : list of pathlib.Path
        Annotations, whatever their names.
    """

    root: Path
    audio: list = field(default_factory=list)
    annotations: list = field(default_factory=list)

    def relative(self, path: Path) -> str:
        """The path below the data folder, with forward slashes."""
        return path.relative_to(self.root).as_posix()

    def part_of(self, annotation: Path) -> str | None:
        """The part that an annotation belongs to, by the folders above it; ``None`` where they do not state it."""
        folders = [folder.lower() for folder in annotation.relative_to(self.root).parts[:-1]]
        root = self.root.name.lower()
        if root.endswith("_json"):  # the data folder may be a part itself, for example test2024_json
            folders = [root, *folders]
        return next(filter(None, map(_part, reversed(folders))), None)


def _part(folder):
    """The part that a folder's name states. ``test2023_json`` and a folder ``2023`` are the test of 2023."""
    if folder.startswith(("inter_test", "intra_test")):
        return f"test_{folder[:5]}"
    if re.fullmatch(r"train(?:20\d\d)?(?:_[a-z]+)*", folder):
        return "train"
    match = re.fullmatch(r"(?:(?:test|valid)[a-z_]*)?(20\d\d)(?:_json)?", folder)
    return f"test_{match[1]}" if match and match[1] != "2022" else None


def find_layout(data_folder: str | Path) -> Layout:
    """Return what a data folder holds.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The unpacked download, at any depth.

    Returns
    -------
    Layout

    Raises
    ------
    LungSRADError
        Where the folder does not exist, has no annotated recordings or holds another data set.

    Example
    -------
    >>> find_layout("no/such/folder")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: data_folder 'no/such/folder' does not exist. Get it from https://github.com/SJTU...
    """
    root = check_data_folder(data_folder, SPRSOUND)
    layout = Layout(root)
    for path in files_below(root):
        if path.suffix.lower() in AUDIO_ENDINGS:
            layout.audio.append(path)
        elif path.suffix.lower() == ".json":
            layout.annotations.append(path)
    refuse_other_data_set(layout.audio, SPRSOUND, data_folder)
    for kind, found in (("recording (.wav or .flac)", layout.audio), ("annotation (.json)", layout.annotations)):
        if not found:
            refuse_empty_folder(data_folder, kind, SPRSOUND)
    return layout
