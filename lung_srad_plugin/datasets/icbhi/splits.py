"""The sides of the ICBHI recordings: the official split, its corrected form, and one device left out."""

from collections.abc import Iterable, Mapping
from importlib import resources

from lung_srad_plugin.datasets.icbhi.recording_name import NameIndex, is_recording_name, parse_name
from lung_srad_plugin.datasets.problems import Problem, raise_problems
from lung_srad_plugin.errors import LungSRADError

SIDES = ("train", "test")


def parse_split(text: str, file: str) -> tuple[dict[str, str], list[Problem]]:
    """Return the side of each recording in a split file, and the problems of its lines.

    Arguments
    ---------
    text : str
        Lines of ``name side``, the side being ``train`` or ``test``.
    file : str
        What to call the file in problems.

    Returns
    -------
    sides : dict
        Recording name to ``"train"`` or ``"test"``.
    problems : list of Problem
        Malformed lines and recordings listed more than once; these are not in ``sides``.

    Example
    -------
    >>> parse_split("101_1b1_Al_sc_Meditron\\ttest\\n", "split.txt")
    ({'101_1b1_Al_sc_Meditron': 'test'}, [])
    """
    sides: dict[str, str] = {}
    first_line: dict[str, int] = {}
    problems = []
    for number, line in enumerate(text.rstrip().splitlines(), 1):
        fields = line.split()
        if len(fields) != 2 or fields[1] not in SIDES:
            message, group = (
                f"{line!r}; expected 'name train' or 'name test'",
                "{count} lines are not 'name train' or 'name test'",
            )
            problems.append(Problem(file, message, number, left_out="line", group=group))
        elif not is_recording_name(fields[0]):
            message = f"{fields[0]!r} is not a name of the ICBHI form"
            problems.append(Problem(file, message, number, left_out="line"))
        elif fields[0] in first_line:
            message = f"{fields[0]} is listed before, in line {first_line[fields[0]]}"
            group = "{count} recordings are listed before, in another line"
            problems.append(Problem(file, message, number, left_out="recording", group=group))
            sides.pop(fields[0], None)
        else:
            first_line[fields[0]] = number
            sides[fields[0]] = fields[1]
    return sides, problems


def official_split() -> dict[str, str]:
    """Return the official 60/40 split of ICBHI 2017, which comes with this package.

    Returns
    -------
    dict
        The 920 recording names to ``"train"`` (539) or ``"test"`` (381).

    Example
    -------
    >>> list(official_split().values()).count("test")
    381
    """
    text = resources.files(__package__).joinpath("official_split.txt").read_text(encoding="utf-8")
    sides, _ = parse_split(text, "official_split.txt")
    return sides


def assign_sides(names: Iterable[str], sides: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the side of each recording according to a split.

    Arguments
    ---------
    names : iterable of str
        Recording names.
    sides : dict
        A split: recording name to side. Where it names a recording for another device, that is the same recording.

    Returns
    -------
    assigned : dict
        Name to side, for the names that the split lists.
    missing : list of str
        The names that it does not list.

    Example
    -------
    >>> assign_sides(["226_1b1_Pl_sc_LittC2SE", "300_1b1_Al_sc_Meditron"], {"226_1b1_Pl_sc_Meditron": "train"})
    ({'226_1b1_Pl_sc_LittC2SE': 'train'}, ['300_1b1_Al_sc_Meditron'])
    """
    index = NameIndex(sides)
    assigned, missing = {}, []
    for name in sorted(names):
        listed = index.find(name)
        if listed is None:
            missing.append(name)
        else:
            assigned[name] = sides[listed]
    return assigned, missing


def assign_official_split(names: Iterable[str]) -> dict[str, str]:
    """Return the side of each recording in the official split.

    Arguments
    ---------
    names : iterable of str
        Recording names.

    Returns
    -------
    dict
        Name to ``"train"`` or ``"test"``.

    Raises
    ------
    LungSRADError
        With every name that the official split does not list.

    Example
    -------
    >>> assign_official_split(["101_1b1_Al_sc_Meditron", "226_1b1_Pl_sc_Meditron"])
    {'101_1b1_Al_sc_Meditron': 'test', '226_1b1_Pl_sc_Meditron': 'train'}
    """
    assigned, missing = assign_sides(names, official_split())
    raise_problems([Problem(name, "is not listed") for name in missing], "the official ICBHI split")
    return assigned


def patients_on_both_sides(sides: Mapping[str, str]) -> list[str]:
    """Return the patients who have recordings in train and in test.

    Arguments
    ---------
    sides : dict
        A split: recording name to side.

    Returns
    -------
    list of str
        Sorted patient numbers.

    Example
    -------
    >>> patients_on_both_sides(official_split())
    ['156', '218']
    """
    patients = {side: {parse_name(name).patient for name in sides if sides[name] == side} for side in SIDES}
    return sorted(patients["train"] & patients["test"])


def correct_split(sides: Mapping[str, str]) -> dict[str, str]:
    """Return the split without the train recordings of patients who are also in test.

    Test stays as it is, so that scores remain comparable in what they are measured on. In the official split this
    drops 13 recordings of patients 156 and 218.

    Arguments
    ---------
    sides : dict
        A split: recording name to side.

    Returns
    -------
    dict

    Example
    -------
    >>> len(official_split()) - len(correct_split(official_split()))
    13
    """
    shared = set(patients_on_both_sides(sides))
    return {name: side for name, side in sides.items() if side == "test" or parse_name(name).patient not in shared}


def leave_device_out(names: Iterable[str], device: str) -> dict[str, str]:
    """Return a split whose test side is one device.

    A patient recorded with this and with another device is in test only, so that neither the device nor its patients
    are known from training. Devices are those of the names, which are not reliable, see ``recording_name``.

    Arguments
    ---------
    names : iterable of str
        Recording names.
    device : str
        As in the names, for example ``"Litt3200"``.

    Returns
    -------
    dict
        Name to side, without other devices' recordings of the test patients.

    Raises
    ------
    LungSRADError
        Where no recording has the device.

    Example
    -------
    >>> names = ["101_1b1_Al_sc_Meditron", "102_1b1_Ar_sc_Litt3200", "102_2b1_Ar_sc_Meditron"]
    >>> leave_device_out(names, "Litt3200")
    {'101_1b1_Al_sc_Meditron': 'train', '102_1b1_Ar_sc_Litt3200': 'test'}
    """
    device_of = {name: parse_name(name).device for name in sorted(names)}
    if device not in device_of.values():
        found = ", ".join(sorted(set(device_of.values())))
        raise LungSRADError(f"no recording of device {device!r}; the names have {found}")
    return correct_split({name: "test" if found == device else "train" for name, found in device_of.items()})
