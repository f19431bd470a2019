"""The name of an HF_Lung recording: device, date and time of its session."""

import re
from dataclasses import dataclass

FORM = "steth_YYYYMMDD_HH_MM_SS or trunc_YYYY-MM-DD-HH-MM-SS-<location>_<n>, for example steth_20180814_09_37_11"
PATTERN = (
    r"(?:steth_(?P<steth_date>\d{8})_\d{2}_\d{2}_\d{2}"
    r"|trunc_(?P<trunc_date>\d{4}-\d{2}-\d{2})-\d{2}-\d{2}-\d{2}-(?P<location>[0-9A-Za-z-]+)_\d+)"
)
DEVICES = {"steth": "Littmann 3200", "trunc": "HF-Type-1"}


@dataclass(frozen=True)
class RecordingName:
    """The parts of a recording's name.

    Arguments
    ---------
    prefix : str
        ``steth`` or ``trunc``.
    date : str
        Eight digits, year first.
    location : str
        ``L1`` to ``L8`` and the like; blank for ``steth``, whose names do not state it.
    """

    prefix: str
    date: str
    location: str

    @property
    def group(self) -> str:
        """What stands for the patient, whom nothing states: the session's prefix and date."""
        return f"{self.prefix}_{self.date}"

    @property
    def device(self) -> str:
        """The device of such names."""
        return DEVICES[self.prefix]


def parse_name(name: str) -> RecordingName | None:
    """Return the parts of a recording's name, or None where it does not have the form.

    Arguments
    ---------
    name : str
        File name without its ending.

    Returns
    -------
    RecordingName or None

    Example
    -------
    >>> parse_name("trunc_2019-08-21-10-35-06-L1_14").group
    'trunc_20190821'
    >>> parse_name("101_1b1_Al_sc_Meditron")
    """
    match = re.fullmatch(PATTERN, name)
    if match is None:
        return None
    date = (match["steth_date"] or match["trunc_date"]).replace("-", "")
    return RecordingName(name.partition("_")[0], date, match["location"] or "")
