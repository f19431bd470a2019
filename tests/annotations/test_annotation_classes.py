"""What annotators' labels become: usual spellings, mappings, unknown ones all together."""

import pytest

from lung_srad_plugin.annotations.classes import class_of_label, map_to_classes
from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.datasets.hf_lung.annotation import SOUNDS
from lung_srad_plugin.datasets.sprsound.tasks import FOUR_CLASSES
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES

SPELLED = {name: name for name in CLASSES} | {
    "NORMAL": "normal",
    "Crackles": "crackle",
    "coarse_crackles": "crackle",
    "rales": "crackle",
    "crepitations": "crackle",
    "Wheezing": "wheeze",
    "rhonchus": "wheeze",
    "wheeze & crackles": "both",
    "crackles and wheezes": "both",
    "fine crackle, stridor": "both",
    "wheeze 0.71": "wheeze",
    "both 1.00": "both",
    "late inspiratory creps": "crackle",
    "crackles (medium)": "crackle",
    "polyphonic wheeze with crackling": "both",
    "Normal breath sounds": "normal",
    "breath": None,
    "normal wheeze": None,
    "no crackles": None,
    "normal crackle": None,
    "both crackle": None,
    "wheeze?": None,
    "fine": None,
    "0.71": None,
    "cough": None,
    "": None,
}


@pytest.mark.parametrize("label", SPELLED)
def test_usual_spellings(label):
    assert class_of_label(label) == SPELLED[label]


def test_labels_of_data_sets_become_the_classes_that_their_preparation_makes():
    assert {label: class_of_label(label) for label in FOUR_CLASSES} == dict(FOUR_CLASSES)
    words = {label: kind for label, kind in SOUNDS.items() if label != "D"}  # D means nothing outside HF_Lung
    assert {label: class_of_label(label) for label in words} == words


def test_unknown_labels_are_all_reported_and_mapped_ones_are_not():
    events = [AnnotatedEvent(float(n), n + 1.0, label) for n, label in enumerate(("cough", "W", "wheeze", "speech"))]
    with pytest.raises(LungSRADError) as raised:
        map_to_classes(events, "a.txt")
    for part in ("3 problems", "'cough' at 0 s", "'W' at 1 s", "'speech' at 3 s"):
        assert part in str(raised.value)
    mapped = map_to_classes(events, "a.txt", {"cough": None, "W": "wheeze", "speech": None})
    assert [(event.start_s, event.label) for event in mapped] == [(1.0, "wheeze"), (2.0, "wheeze")]
