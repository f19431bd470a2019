"""All data sets that this package prepares, and which of them a folder holds."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lung_srad_plugin.datasets.hf_lung.record import HF_LUNG
from lung_srad_plugin.datasets.icbhi.record import ICBHI
from lung_srad_plugin.datasets.kauh.record import KAUH
from lung_srad_plugin.datasets.record import DataSetRecord
from lung_srad_plugin.datasets.sprsound.record import SPRSOUND
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.text import printable

DATA_SETS = {record.name: record for record in (ICBHI, SPRSOUND, KAUH, HF_LUNG)}


def find_data_set(name: str) -> DataSetRecord:
    """Return the record of a data set.

    Arguments
    ---------
    name : str
        Short name, in any case.

    Returns
    -------
    DataSetRecord

    Raises
    ------
    LungSRADError
        Where there is no data set of this name.

    Example
    -------
    >>> find_data_set("KAUH").sampling_rate
    '4 kHz'
    """
    record = DATA_SETS.get(name.lower())
    if record is None:
        raise LungSRADError(f"no data set {printable(name)!r}; known are {', '.join(DATA_SETS)}")
    return record


def check_data_folder(data_folder: str | Path, wanted: DataSetRecord) -> Path:
    """Return the folder of an unpacked download, which is there.

    Raises
    ------
    LungSRADError
        Says where to get the data set.

    Example
    -------
    >>> check_data_folder("no/such/folder", DATA_SETS["icbhi"])
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: data_folder 'no/such/folder' does not exist. Get it from https://bhichallenge...
    """
    root = Path(data_folder).expanduser()
    if not root.is_dir():
        raise LungSRADError(f"data_folder '{data_folder}' does not exist. Get it from {wanted.source}.")
    return root


def refuse_empty_folder(data_folder: str | Path, kind: str, wanted: DataSetRecord) -> NoReturn:
    """Say that a folder holds no file of a kind, and where to get the data set."""
    raise LungSRADError(f"data_folder '{data_folder}' holds no {kind} at any depth. Get it from {wanted.source}.")


def refuse_other_data_set(files: Sequence[Path], wanted: DataSetRecord, folder: str | Path) -> None:
    """Refuse a folder whose recordings are those of another data set, and name the command for it.

    A folder with any recording of the wanted data set passes, and so does one that no data set recognises.

    Arguments
    ---------
    files : sequence of pathlib.Path
        The audio files below the folder.
    wanted : DataSetRecord
        The data set that the caller prepares.
    folder : str or pathlib.Path
        What the message calls the folder.

    Raises
    ------
    LungSRADError
        With the data set that was found and its command.

    Example
    -------
    >>> refuse_other_data_set([Path("BP1_Asthma,I E W,P L L,70,M.wav")], DATA_SETS["icbhi"], "sounds")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: sounds holds KAUH..., not ICBHI...; ... lung-srad prepare-kauh ...
    """
    if wanted.count_recordings(files):
        return
    counts = {record.name: record.count_recordings(files) for record in DATA_SETS.values()}
    found = DATA_SETS[max(counts, key=lambda name: counts[name])]
    if counts[found.name]:
        training = f"; to train on it: --dataset {found.name}" if found.has_recipe else ""
        raise LungSRADError(
            f"{printable(folder)} holds {found.title} ({counts[found.name]} of {len(files)} audio files have its "
            f"names), not {wanted.title}; prepare it with: {found.command} DATA_FOLDER SAVE_FOLDER{training}"
        )
