"""Finds what belongs to ICBHI below a folder: the official download or its Kaggle mirror.

Official: ``ICBHI_final_database/*.wav|txt`` with ``ICBHI_challenge_train_test.txt``,
``ICBHI_Challenge_demographic_information.txt`` and ``ICBHI_Challenge_diagnosis.txt`` beside it or in it. Kaggle:
``Respiratory_Sound_Database/Respiratory_Sound_Database/audio_and_txt_files/*.wav|txt``, ``patient_diagnosis.csv`` and
``demographic_info.txt`` one above, at times all of it a second time. Files are known by their names, wherever they lie.
"""

import filecmp
import re
from dataclasses import dataclass, field
from pathlib import Path

from lung_srad_plugin.datasets.catalogue import check_data_folder, refuse_empty_folder, refuse_other_data_set
from lung_srad_plugin.datasets.folder import files_below
from lung_srad_plugin.datasets.icbhi.record import ICBHI
from lung_srad_plugin.datasets.icbhi.recording_name import is_recording_name

_TABLES = {
    "icbhi_challenge_train_test.txt": "split",
    "icbhi_challenge_demographic_information.txt": "demographics",
    "demographic_info.txt": "demographics",
    "icbhi_challenge_diagnosis.txt": "diagnosis",
    "patient_diagnosis.csv": "diagnosis",
    "patient_diagnosis.txt": "diagnosis",
}
_ANNOTATION_LINE = re.compile(r"\s*\d+\.\d*\s+\d+\.\d*\s")


@dataclass
class Layout:
    """The files of a data folder, each list sorted.

    Arguments
    ---------
    root : pathlib.Path
        The data folder.
    wavs, annotations : list of pathlib.Path
        Recordings and annotations, whatever their names.
    tables : dict
        ``"split"``, ``"demographics"`` and ``"diagnosis"`` to the list of files that hold it.
    copies : dict
        Folder to the folder of which it is a copy; the files of a copy are in none of the lists.
    """

    root: Path
    wavs: list = field(default_factory=list)
    annotations: list = field(default_factory=list)
    tables: dict = field(default_factory=lambda: {kind: [] for kind in ("split", "demographics", "diagnosis")})
    copies: dict = field(default_factory=dict)

    def relative(self, path: Path) -> str:
        """The path below the data folder, with forward slashes."""
        return path.relative_to(self.root).as_posix()


def find_layout(data_folder: str | Path) -> Layout:
    """Return what a data folder holds.

    Hidden files, ``__MACOSX`` folders and texts that are neither annotation nor table are ignored. A folder whose
    recordings and annotations equal, byte for byte, those of another folder is recognised as its copy.

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
        Where the folder does not exist, has no recordings or holds another data set.

    Example
    -------
    >>> find_layout("no/such/folder")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: data_folder 'no/such/folder' does not exist. Get it from https://bhichallenge...
    """
    root = check_data_folder(data_folder, ICBHI)
    layout = Layout(root)
    files = files_below(root)
    refuse_other_data_set([path for path in files if path.suffix.lower() in (".wav", ".flac")], ICBHI, data_folder)
    stems = {path.stem for path in files if path.suffix.lower() == ".wav"}
    sounds = []
    for path in files:
        kind = _TABLES.get(path.name.lower())
        if kind:
            layout.tables[kind].append(path)
        elif path.suffix.lower() == ".wav" or (path.suffix.lower() == ".txt" and _is_annotation(path, stems)):
            sounds.append(path)
    layout.copies = _copied_folders(sounds)
    for path in sounds:
        if path.parent not in layout.copies:
            (layout.wavs if path.suffix.lower() == ".wav" else layout.annotations).append(path)
    if not layout.wavs:
        refuse_empty_folder(data_folder, ".wav file", ICBHI)
    return layout


def _is_annotation(path, wav_stems):
    """Texts named like a recording are annotations; others are where their first line looks like one."""
    if is_recording_name(path.stem) or path.stem in wav_stems:
        return True
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return _ANNOTATION_LINE.match(file.readline(1000)) is not None
    except OSError:  # a link to nothing, for example: it is no annotation either
        return False


def _copied_folders(paths):
    folders = {}
    for path in paths:
        folders.setdefault(path.parent, {})[path.name] = path
    copies = {}
    for folder, files in folders.items():
        for other in folders:
            if other is folder:
                break
            if other not in copies and folders[other].keys() == files.keys():
                pairs = [(files[name], folders[other][name]) for name in files]
                same_size = all(a.stat().st_size == b.stat().st_size for a, b in pairs)
                if same_size and all(filecmp.cmp(a, b, shallow=False) for a, b in pairs):
                    copies[folder] = other
                    break
    return copies
