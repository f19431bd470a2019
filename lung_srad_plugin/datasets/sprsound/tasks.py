"""The labels of SPRSound, the tasks of its challenge, and how its events become the four classes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES

EVENT_TYPES = ("normal", "fine crackle", "coarse crackle", "wheeze", "rhonchi", "stridor", "wheeze+crackle")
RECORD_LABELS = ("normal", "CAS", "DAS", "CAS & DAS", "poor quality")  # (dis)continuous adventitious sounds

# Event type to class: rhonchi and stridor are continuous sounds like wheezes.
FOUR_CLASSES = MappingProxyType(
    {
        "normal": "normal",
        "fine crackle": "crackle",
        "coarse crackle": "crackle",
        "wheeze": "wheeze",
        "rhonchi": "wheeze",
        "stridor": "wheeze",
        "wheeze+crackle": "both",
    }
)


@dataclass(frozen=True)
class Task:
    """What is classified, into which classes.

    Arguments
    ---------
    name : str
        As options write it.
    unit : str
        ``"event"`` or ``"recording"``.
    labels : tuple of str
        The classes, normal first.
    label_of : mapping
        The data set's label to the class.
    """

    name: str
    unit: str
    labels: tuple[str, ...]
    label_of: Mapping[str, str]


def _adventitious(labels, kept=("normal",)):
    return MappingProxyType({label: label if label in kept else "adventitious" for label in labels})


TASKS = {
    task.name: task
    for task in (
        Task("4class", "event", CLASSES, FOUR_CLASSES),
        Task("1-1", "event", ("normal", "adventitious"), _adventitious(EVENT_TYPES)),
        Task("1-2", "event", EVENT_TYPES, MappingProxyType({label: label for label in EVENT_TYPES})),
        Task(
            "2-1",
            "recording",
            ("normal", "adventitious", "poor quality"),
            _adventitious(RECORD_LABELS, kept=("normal", "poor quality")),
        ),
        Task("2-2", "recording", RECORD_LABELS, MappingProxyType({label: label for label in RECORD_LABELS})),
    )
}


def find_task(name: str) -> Task:
    """Return a task.

    Arguments
    ---------
    name : str
        ``"4class"``, or ``"1-1"``, ``"1-2"``, ``"2-1"``, ``"2-2"`` as the challenge counts them.

    Returns
    -------
    Task

    Raises
    ------
    LungSRADError
        Where there is no task of this name.

    Example
    -------
    >>> find_task("2-1").labels
    ('normal', 'adventitious', 'poor quality')
    """
    if name not in TASKS:
        raise LungSRADError(f"task={name!r}; expected one of {', '.join(TASKS)}")
    return TASKS[name]


def find_label(text: object, labels: tuple[str, ...]) -> str | None:
    """Return the label that a text means, whatever its case, spacing and signs; None where it means none.

    Arguments
    ---------
    text : object
        As an annotation has it.
    labels : tuple of str
        The labels to choose from.

    Returns
    -------
    str or None

    Example
    -------
    >>> find_label("Wheeze + crackle", EVENT_TYPES), find_label("CAS&DAS", RECORD_LABELS)
    ('wheeze+crackle', 'CAS & DAS')
    >>> find_label("Rales", EVENT_TYPES)
    """
    if not isinstance(text, str):
        return None
    return _by_letters(labels).get(_letters(text))


@lru_cache
def _by_letters(labels):
    return {_letters(label): label for label in labels}


def _letters(text):
    return re.sub(r"[\s_+&-]+", "", text).casefold()


def record_label_of(event_types: set[str]) -> str:
    """Return the label that a recording with these events has by the data set's definition.

    Arguments
    ---------
    event_types : set of str
        At least one.

    Returns
    -------
    str
        One of ``RECORD_LABELS``, never "poor quality".

    Example
    -------
    >>> record_label_of({"normal", "rhonchi", "fine crackle"})
    'CAS & DAS'
    """
    return _record_label({FOUR_CLASSES[event] for event in event_types})


def _record_label(found):
    if "both" in found or {"crackle", "wheeze"} <= found:
        return "CAS & DAS"
    return "CAS" if "wheeze" in found else "DAS" if "crackle" in found else "normal"


def pool_recording_labels(recordings: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """Return a label for each recording, from the classes of its events or of the windows that slide over it.

    The rule is the data set's definition: a recording has DAS where any event or window is crackle or both, CAS where
    any is wheeze or both, CAS & DAS where it has both of them; else it is normal. Poor quality cannot come from classes
    of events: a model that shall find it must be trained on task 2-1 or 2-2.

    Arguments
    ---------
    recordings : sequence of str
        (N,) the recording of each event or window.
    classes : sequence of str
        (N,) its class, one of ``CLASSES`` or of ``EVENT_TYPES``.

    Returns
    -------
    dict
        Recording to one of ``RECORD_LABELS``, in the order in which they come.

    Raises
    ------
    LungSRADError
        Where there is not one class for each, or one is unknown.

    Example
    -------
    >>> pool_recording_labels(["a", "a", "b"], ["normal", "crackle", "normal"])
    {'a': 'DAS', 'b': 'normal'}
    """
    if len(recordings) != len(classes):
        raise LungSRADError(f"{len(recordings)} recordings but {len(classes)} classes: expected one for each")
    found: dict[str, set[str]] = {}
    for recording, name in zip(recordings, classes, strict=True):
        if name not in CLASSES and name not in FOUR_CLASSES:
            raise LungSRADError(f"{recording}: unknown class {name!r}; expected one of {', '.join(CLASSES)}")
        found.setdefault(recording, set()).add(FOUR_CLASSES.get(name, name))
    return {recording: _record_label(names) for recording, names in found.items()}
