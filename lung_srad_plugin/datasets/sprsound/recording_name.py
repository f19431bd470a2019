"""The name of an SPRSound recording: ``patient_age_sex_location_number``."""

import re
from dataclasses import dataclass

FORM = "<patient>_<age>_<0 male, 1 female>_<p1 to p8>_<number>, for example 65101170_0.4_0_p1_3246"
# The patient is empty where the authors removed it (files of 2025).
PATTERN = r"(?P<patient>\d*)_(?P<age>\d+(?:\.\d+)?)_(?P<sex>[01])_(?P<location>p[1-8])_(?P<number>\d+)"
LOCATIONS = {"p1": "left posterior", "p2": "left lateral", "p3": "right posterior", "p4": "right lateral"}
UNKNOWN_PATIENT = "unknown"


@dataclass(frozen=True)
class RecordingName:
    """The parts of a recording's name.

    Arguments
    ---------
    patient : str
        Patient number. Recordings without one count as one patient for each age and sex, ``unknown_<age>_<sex>``,
        since nothing distinguishes them.
    age : str
        Years.
    sex : str
        ``F`` or ``M``.
    location : str
        In words for p1 to p4; as written, ``p5`` to ``p8``, for the locations that were never described.
    """

    patient: str
    age: str
    sex: str
    location: str

    @property
    def has_patient(self) -> bool:
        """Whether the name states the patient."""
        return not self.patient.startswith(UNKNOWN_PATIENT)


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
    >>> parse_name("65101170_0.4_0_p1_3246")
    RecordingName(patient='65101170', age='0.4', sex='M', location='left posterior')
    >>> parse_name("_5.3_1_p8_34877").patient
    'unknown_5.3_F'
    >>> parse_name("101_1b1_Al_sc_Meditron")
    """
    match = re.fullmatch(PATTERN, name)
    if match is None:
        return None
    sex = "MF"[int(match["sex"])]
    patient = match["patient"] or f"{UNKNOWN_PATIENT}_{match['age']}_{sex}"
    return RecordingName(patient, match["age"], sex, LOCATIONS.get(match["location"], match["location"]))
