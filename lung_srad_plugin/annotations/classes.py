"""From the labels that annotators write to the four classes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.datasets.problems import Problem, raise_problems
from lung_srad_plugin.labels import CLASSES, label_of

# Words in the singular. Rhonchi and stridor are continuous sounds like wheezes, as in SPRSound and HF_Lung.
CRACKLES = ("crackle", "crackling", "crepitation", "crep", "rale")
WHEEZES = ("wheeze", "wheezing", "rhonchi", "rhonchus", "ronchi", "ronchus", "stridor")
_QUALITIES = (
    "fine", "medium", "coarse", "early", "mid", "late", "inspiratory", "expiratory", "monophonic", "polyphonic", "and",
    "with",
)  # fmt: skip
_OF_NORMAL = ("breath", "breathing", "sound")
CURE = "Correct the labels, or name a mapping of them: a JSON object, label to class, null for what to leave out."


def class_of_label(label: str) -> str | None:
    """Return the class that a label names in a usual spelling; None where it names none.

    Upper and lower case, plurals, and words such as "fine" and "inspiratory" make no difference; crackles and wheezes
    together are both. A probability behind the label, as ``lung-srad classify`` writes it, is not looked at.

    Arguments
    ---------
    label : str

    Example
    -------
    >>> [class_of_label(label) for label in ("Normal", "fine crackles", "Wheeze+Crackle", "wheeze 0.71", "cough")]
    ['normal', 'crackle', 'both', 'wheeze', None]
    """
    text = re.sub(r"\s+[01]\.\d\d$", "", label.casefold())
    words = [word for word in re.split(r"[\s_+&/,;|()-]+", text) if word and word not in _QUALITIES]
    singular = [_singular(word) for word in words]
    if len(singular) == 1 and singular[0] in CLASSES:
        return singular[0]
    if singular[:1] == [CLASSES[0]] and all(word in _OF_NORMAL for word in singular[1:]):
        return CLASSES[0]
    crackle, wheeze = (any(word in kind for word in singular) for kind in (CRACKLES, WHEEZES))
    known = all(word in (*CRACKLES, *WHEEZES) for word in singular)
    return label_of(crackle, wheeze) if singular and known else None


def _singular(word):
    return word[:-1] if word.endswith("s") and not word.endswith("us") else word


def map_to_classes(
    events: Sequence[AnnotatedEvent], file: str, mapping: Mapping[str, str | None] | None = None
) -> list[AnnotatedEvent]:
    """Return events with the class of each in place of its label.

    Arguments
    ---------
    events : sequence of AnnotatedEvent
    file : str
        What to call the annotation.
    mapping : dict, optional
        Labels to classes, or to None for events to leave out; labels that are not in it are taken in their usual
        spellings.

    Raises
    ------
    LungSRADError
        With every label that has no class.

    Example
    -------
    >>> events = [AnnotatedEvent(0.0, 1.0, "Crackles"), AnnotatedEvent(1.0, 2.0, "cough")]
    >>> [event.label for event in map_to_classes(events, "a.txt", {"cough": None})]
    ['crackle']
    >>> map_to_classes(events, "a.txt")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: a.txt: 1 problem
      a.txt: unknown label 'cough' at 1 s; expected normal, crackle, wheeze, both, in a usual spelling
    ...
    """
    mapped, problems = find_classes(events, file, mapping)
    raise_problems(problems, file, CURE)
    return [event for event, _ in mapped]


def find_classes(
    events: Sequence[AnnotatedEvent], file: str, mapping: Mapping[str, str | None] | None = None
) -> tuple[list[tuple[AnnotatedEvent, str]], list[Problem]]:
    """Return events with their class, each with the label it had, and the problems of those without one.

    Arguments
    ---------
    events, file, mapping
        As for ``map_to_classes``.
    """
    mapped, problems = [], []
    for event in events:
        known = mapping is not None and event.label in mapping
        name = mapping[event.label] if mapping is not None and known else class_of_label(event.label)
        if name is not None:
            mapped.append((replace(event, label=name), event.label))
        elif not known:
            shown = repr(event.label) if event.label else "blank"
            fault = f"unknown label {shown} at {event.start_s:g} s; expected {', '.join(CLASSES)}, in a usual spelling"
            group = f"{{count}} events have the unknown label {shown}"
            problems.append(Problem(file, fault, left_out="event", group=group))
    return mapped, problems
