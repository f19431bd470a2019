"""The name of a KAUH recording: ``{B|D|E}P<n>_<diagnosis>,<sound>,<location>,<age>,<sex>``."""

import re

FORM = "{B|D|E}P<n>_<diagnosis>,<sound>,<location>,<age>,<sex>.wav, for example BP1_Asthma,I E W,P L L,70,M.wav"
PATTERN = (
    r"(?P<filter>[BDE])P(?P<subject>\d+)_(?P<diagnosis>[^,]+),(?P<sound>[^,]+),(?P<location>[^,]+),(?P<age>[^,]+),"
    r"(?P<sex>[^,]+)"
)
FILTERS = {"B": "bell", "D": "diaphragm", "E": "extended"}

_DIAGNOSES = {"n": "Healthy", "bron": "Bronchitis", "copd": "COPD", "plueral effusion": "Pleural effusion"}


def parse_kauh_name(name: str) -> dict | None:
    """Return the parts of a recording's name, or None where it does not have the form.

    Arguments
    ---------
    name : str
        File name without its ending.

    Returns
    -------
    dict or None
        ``filter``, ``subject``, ``diagnosis``, ``sound``, ``location``, ``age`` and ``sex``; spaces at the ends are
        left out, and diagnoses have one spelling.

    Example
    -------
    >>> parse_kauh_name("DP23_lung fibrosis,Crep,P R L ,50,M")["diagnosis"]
    'Lung fibrosis'
    >>> parse_kauh_name("101_1b1_Al_sc_Meditron")
    """
    match = re.fullmatch(PATTERN, name)
    if match is None:
        return None
    parts = {key: " ".join(value.split()) for key, value in match.groupdict().items()}
    diagnosis = parts["diagnosis"].lower()
    return {**parts, "diagnosis": _DIAGNOSES.get(diagnosis, diagnosis.capitalize().replace("copd", "COPD"))}
