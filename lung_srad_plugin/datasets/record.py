"""What a data set says of itself: one frozen record, in the same words for every data set."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True)
class DataSetRecord:
    """The facts of a data set that a user needs before and after getting it.

    Arguments
    ---------
    name : str
        Short name, as commands and settings write it.
    title : str
        The name it was published under.
    content : str
        Recordings, patients, hours.
    citation : str
        The publication to cite.
    licence : str
        What its authors allow.
    source : str
        Where and how to get it.
    official_split : str
        Which parts its authors defined; "none" where they defined none.
    sampling_rate : str
        Of the recordings as published.
    labels : tuple of str
        The labels as the data set writes them.
    label_unit : str
        What one label is given to: a breathing cycle, an event, a recording.
    command : str
        The command that prepares it; it takes the data folder and the folder to write to.
    name_pattern : str
        Regular expression that the whole file name of a recording, without its ending, matches.
    has_recipe : bool
        Whether ``dataset`` in an experiment may be this data set; others are prepared by their command first.
    checksums : mapping
        File of the download to its SHA-256, where the authors published one.

    Example
    -------
    >>> from lung_srad_plugin.datasets.icbhi.record import ICBHI
    >>> ICBHI.title, ICBHI.command
    ('ICBHI 2017 Respiratory Sound Database', 'lung-srad prepare')
    """

    name: str
    title: str
    content: str
    citation: str
    licence: str
    source: str
    official_split: str
    sampling_rate: str
    labels: tuple[str, ...]
    label_unit: str
    command: str
    name_pattern: str
    has_recipe: bool = False
    checksums: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def count_recordings(self, files: Sequence[Path]) -> int:
        """Return how many of these files have the name of a recording of this data set."""
        return sum(re.fullmatch(self.name_pattern, path.stem) is not None for path in files)
