"""The splits of ICBHI: the official facts, a device left out, and drawn parts close to their shares."""

import tarfile
from collections import Counter

import pytest

from lung_srad_plugin.datasets.icbhi.annotation import parse_annotation
from lung_srad_plugin.datasets.icbhi.recording_name import NameIndex, parse_name
from lung_srad_plugin.datasets.icbhi.splits import (
    assign_official_split,
    assign_sides,
    correct_split,
    leave_device_out,
    official_split,
    parse_split,
    patients_on_both_sides,
)
from lung_srad_plugin.datasets.patient_split import divide_patients
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES


@pytest.fixture(scope="module")
def all_cycles(icbhi_annotations):
    """Recording name to the classes of its cycles, for all 920 annotations."""
    cycles = {}
    with tarfile.open(icbhi_annotations) as archive:
        for member in archive.getmembers():
            if member.isfile():
                found, problems = parse_annotation(archive.extractfile(member).read().decode(), member.name)
                assert problems == []
                cycles[member.name.rpartition("/")[2].removesuffix(".txt")] = [cycle.label for cycle in found]
    return cycles


def count(cycles, names):
    return Counter(label for name in names for label in cycles[name])


def by_patient(cycles, names):
    counts = {}
    for name in names:
        counts.setdefault(parse_name(name).patient, Counter()).update(cycles[name])
    return counts


def test_all_annotations_give_the_published_numbers(all_cycles):
    assert len(all_cycles) == 920
    assert [count(all_cycles, all_cycles)[label] for label in CLASSES] == [3642, 1864, 886, 506]


def test_official_split_gives_the_published_numbers(all_cycles):
    sides = assign_official_split(all_cycles)
    sizes = {
        side: sum(count(all_cycles, [n for n in sides if sides[n] == side]).values()) for side in set(sides.values())
    }
    assert sizes == {"train": 4142, "test": 2756}
    assert len({parse_name(name).patient for name in sides}) == 126
    assert patients_on_both_sides(sides) == ["156", "218"]


def test_corrected_split_drops_train_recordings_of_two_patients_only(all_cycles):
    official, corrected = official_split(), correct_split(official_split())
    dropped = set(official) - set(corrected)
    assert Counter(parse_name(name).patient for name in dropped) == {"156": 9, "218": 4}
    assert {official[name] for name in dropped} == {"train"}
    assert all(corrected[name] == official[name] for name in corrected)
    assert patients_on_both_sides(corrected) == []
    test = [name for name in corrected if corrected[name] == "test"]
    assert sum(count(all_cycles, test).values()) == 2756


@pytest.mark.parametrize(
    ("device", "test", "dropped"),
    [("AKGC417L", 646, 1), ("LittC2SE", 87, 25), ("Litt3200", 60, 7), ("Meditron", 127, 7)],
)
def test_leaving_out_a_device_leaves_out_its_patients(device, test, dropped):
    names = official_split()
    sides = leave_device_out(names, device)
    assert {parse_name(name).device for name in sides if sides[name] == "test"} == {device}
    assert all(parse_name(name).device != device for name in sides if sides[name] == "train")
    assert patients_on_both_sides(sides) == []
    assert list(sides.values()).count("test") == test
    assert len(names) - len(sides) == dropped


def test_patient_226_is_found_under_both_device_names(all_cycles):
    eleven = all_cycles["226_1b1_Pl_sc_LittC2SE"]
    assert Counter(eleven) == {"normal": 6, "crackle": 5}
    for name in ("226_1b1_Pl_sc_LittC2SE", "226_1b1_Pl_sc_Meditron"):
        assert assign_official_split([name]) == {name: "train"}


def test_names_differ_without_the_device_in_all_of_icbhi():
    assert len({parse_name(name).without_device for name in official_split()}) == 920


def test_names_are_not_joined_without_the_device_where_that_is_ambiguous():
    index = NameIndex(["101_1b1_Al_sc_Meditron", "101_1b1_Al_sc_Litt3200"])
    assert index.find("101_1b1_Al_sc_Litt3200") == "101_1b1_Al_sc_Litt3200"
    assert index.find("101_1b1_Al_sc_AKGC417L") is None


def test_names_that_the_official_split_does_not_list_are_all_named():
    with pytest.raises(LungSRADError, match=r"2 problems\n  500_1b1_Al_sc_Meditron.*\n  501_1b1_Al_sc_Meditron"):
        assign_official_split(["501_1b1_Al_sc_Meditron", "101_1b1_Al_sc_Meditron", "500_1b1_Al_sc_Meditron"])


@pytest.mark.parametrize(
    "name",
    [
        "101_1b1_Al_sc",
        "101_1b1_Al_sc_Meditron_2",
        "abc_1b1_Al_sc_Meditron",
        "101_1b1_Xx_sc_Meditron",
        "101_1b1_Al_xc_Meditron",
        "101_1b1_Al_sc_",
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(LungSRADError, match="not a name of the ICBHI form"):
        parse_name(name)


def test_split_file_problems_carry_their_line():
    text = (
        "101_1b1_Al_sc_Meditron\ttest\n"
        "102_1b1_Ar_sc_Meditron\tdev\n"
        "103_1b1_Ar_sc_Meditron\n"
        "readme train\n"
        "101_1b1_Al_sc_Meditron\ttrain\n"
        "104_1b1_Ar_sc_Meditron train\n"
    )
    sides, problems = parse_split(text, "split.txt")
    assert sides == {"104_1b1_Ar_sc_Meditron": "train"}  # a contradictory line settles nothing
    assert [problem.line for problem in problems] == [2, 3, 4, 5]
    assert "listed before, in line 1" in str(problems[-1])


def test_assign_sides_never_guesses():
    assigned, missing = assign_sides(["101_1b1_Al_sc_Meditron"], {"101_1b1_Ar_sc_Meditron": "test"})
    assert assigned == {}
    assert missing == ["101_1b1_Al_sc_Meditron"]


@pytest.mark.parametrize("seed", [0, 1])
def test_valid_part_of_icbhi_comes_close_to_its_share_of_every_class(all_cycles, seed):
    sides = assign_official_split(all_cycles)
    counts = by_patient(all_cycles, [name for name in sides if sides[name] == "train"])
    parts = divide_patients(counts, [0.8, 0.2], seed, fixed={"156": 0, "218": 0})
    for label in CLASSES:
        total = sum(of_patient[label] for of_patient in counts.values())
        drawn = sum(of_patient[label] for patient, of_patient in counts.items() if parts[patient] == 1)
        assert drawn / total == pytest.approx(0.2, abs=0.03)


def test_folds_of_icbhi_come_close_to_their_share_of_every_class(all_cycles):
    counts = by_patient(all_cycles, all_cycles)
    parts = divide_patients(counts, [0.2] * 5, seed=0)
    for fold in range(5):
        for label in CLASSES:
            total = sum(of_patient[label] for of_patient in counts.values())
            drawn = sum(of_patient[label] for patient, of_patient in counts.items() if parts[patient] == fold)
            assert drawn / total == pytest.approx(0.2, abs=0.05)
