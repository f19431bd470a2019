"""The name of an ICBHI recording: ``patient_index_location_mode_device``.

The device is the one part of a name that cannot be relied on. The authors of the data set found a mistake in their
naming script and published corrected names for 91 recordings. The best known case is ``226_1b1_Pl_sc``: some copies
of audio, annotation or split call it ``..._Meditron``, others ``..._LittC2SE``, so that joining by full names loses its
11 training cycles silently. The other four parts already identify all 920 recordings. Names are therefore
joined in full where possible and otherwise without the device, see ``NameIndex``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lung_srad_plugin.errors import LungSRADError

# What the abbreviations in a name stand for.
LOCATIONS = {
    "Tc": "trachea",
    "Al": "anterior left",
    "Ar": "anterior right",
    "Pl": "posterior left",
    "Pr": "posterior right",
    "Ll": "lateral left",
    "Lr": "lateral right",
}
MODES = {"sc": "sequential, single channel", "mc": "simultaneous, several channels"}
FORM = "patient_index_location_mode_device, for example 101_1b1_Al_sc_Meditron"

PATTERN = (
    rf"(?P<patient>\d+)_(?P<index>[0-9A-Za-z]+)_(?P<location>{'|'.join(LOCATIONS)})"
    rf"_(?P<mode>{'|'.join(MODES)})_(?P<device>[0-9A-Za-z]+)"
)


@dataclass(frozen=True)
class RecordingName:
    """The five parts of a recording's name, each as written."""

    patient: str
    index: str
    location: str
    mode: str
    device: str

    def __str__(self):
        return f"{self.without_device}_{self.device}"

    @property
    def without_device(self) -> str:
        """The four parts that identify a recording."""
        return f"{self.patient}_{self.index}_{self.location}_{self.mode}"


def parse_name(name: str) -> RecordingName:
    """Return the parts of a recording's name.

    Arguments
    ---------
    name : str
        File name without its ending.

    Returns
    -------
    RecordingName

    Raises
    ------
    LungSRADError
        Where the name does not have the ICBHI form.

    Example
    -------
    >>> parse_name("226_1b1_Pl_sc_LittC2SE")
    RecordingName(patient='226', index='1b1', location='Pl', mode='sc', device='LittC2SE')
    """
    match = re.fullmatch(PATTERN, name)
    if match is None:
        raise LungSRADError(f"{name!r} is not a name of the ICBHI form; expected {FORM}")
    return RecordingName(**match.groupdict())


def is_recording_name(name: str) -> bool:
    """Tell whether a name has the ICBHI form."""
    return re.fullmatch(PATTERN, name) is not None


class NameIndex:
    """Finds the entry that means a given recording, in full or else without the device.

    Without the device only where exactly one entry fits, so that two recordings that differ in nothing but the device
    are never confused.

    Arguments
    ---------
    names : iterable of str
        Names of the ICBHI form.

    Example
    -------
    >>> split = NameIndex(["226_1b1_Pl_sc_Meditron", "101_1b1_Al_sc_Meditron"])
    >>> split.find("226_1b1_Pl_sc_LittC2SE")
    '226_1b1_Pl_sc_Meditron'
    >>> split.find("102_1b1_Ar_sc_Meditron") is None
    True
    """

    def __init__(self, names: Iterable[str]):
        self.names = set(names)
        self._by_rest: dict[str, list[str]] = {}
        for name in sorted(self.names):
            self._by_rest.setdefault(parse_name(name).without_device, []).append(name)

    def find(self, name: str) -> str | None:
        """Return the matching entry, or ``None``."""
        if name in self.names:
            return name
        fitting = self._by_rest.get(parse_name(name).without_device, [])
        return fitting[0] if len(fitting) == 1 else None
