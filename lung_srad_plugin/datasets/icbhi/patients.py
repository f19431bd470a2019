"""Age, sex and diagnosis of the ICBHI patients."""

import re
from dataclasses import dataclass

from lung_srad_plugin.datasets.problems import Problem


@dataclass(frozen=True)
class Patient:
    """What the tables say of a patient; blank where they say ``NA`` or nothing.

    Arguments
    ---------
    age : str
        Years, a number.
    sex : str
        ``F`` or ``M``.
    diagnosis : str
        For example ``COPD`` or ``Healthy``.
    """

    age: str = ""
    sex: str = ""
    diagnosis: str = ""


def parse_demographics(text: str, file: str) -> tuple[dict[str, tuple[str, str]], list[Problem]]:
    """Return ``{patient: (age, sex)}`` of a demographics table, and its problems.

    Arguments
    ---------
    text : str
        Lines of patient, age in years, sex, then columns that are not used; ``NA`` is unknown.
    file : str
        What to call the file in problems.

    Returns
    -------
    demographics : dict
    problems : list of Problem

    Example
    -------
    >>> parse_demographics("101 3.0 F NA 19 99\\n223 NA NA NA NA NA", "demographic_info.txt")
    ({'101': ('3', 'F'), '223': ('', '')}, [])
    """

    def value(fields):
        if len(fields) < 2 or fields[1] not in ("F", "M", "NA"):
            return None
        if fields[0] == "NA":
            return "", fields[1].replace("NA", "")
        if not re.fullmatch(r"\d+(\.\d*)?", fields[0]):
            return None
        return f"{float(fields[0]):g}", fields[1].replace("NA", "")

    return _parse_table(text, file, value, "'patient age sex ...', the age in years, the sex F or M, unknown NA")


def parse_diagnosis(text: str, file: str) -> tuple[dict[str, str], list[Problem]]:
    """Return ``{patient: diagnosis}`` of a diagnosis table, and its problems.

    Arguments
    ---------
    text : str
        Lines of patient and diagnosis, with a comma, tab or space between; a header line is ignored.
    file : str
        What to call the file in problems.

    Returns
    -------
    diagnoses : dict
    problems : list of Problem

    Example
    -------
    >>> parse_diagnosis("101,URTI\\n102,Healthy\\n", "patient_diagnosis.csv")
    ({'101': 'URTI', '102': 'Healthy'}, [])
    """

    def value(fields):
        return fields[0].replace("NA", "") if len(fields) == 1 and fields[0][0].isalpha() else None

    return _parse_table(text, file, value, "'patient diagnosis'")


def _parse_table(text, file, value, form):
    table, problems = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        fields = [field for field in re.split(r"[\s,;]+", line.strip()) if field]
        if not fields or (number == 1 and not fields[0].isdigit()):
            continue
        parsed = value(fields[1:]) if fields[0].isdigit() else None
        if parsed is None:
            problems.append(Problem(file, f"{line!r}; expected {form}", number, left_out="values of the patient"))
        elif table.setdefault(fields[0], parsed) != parsed:
            message = f"patient {fields[0]} is listed before with other values"
            problems.append(Problem(file, message, number, left_out="this line"))
    return table, problems
