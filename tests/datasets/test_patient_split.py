"""Patients divided into parts: never divided themselves, close to the shares, equal draws for equal seeds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lung_srad_plugin.datasets.patient_split import count_by_patient, divide_patients, draw_valid_patients
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES

patients = st.dictionaries(
    st.integers(100, 160).map(str),
    st.dictionaries(st.sampled_from(CLASSES), st.integers(0, 30)),
    min_size=6,
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(counts=patients, folds=st.integers(2, 6), seed=st.integers(0, 2**31))
def test_folds_partition_the_patients(counts, folds, seed):
    parts = divide_patients(counts, [1 / folds] * folds, seed)
    assert set(parts) == set(counts)
    assert set(parts.values()) == set(range(folds))
    shuffled = dict(sorted(counts.items(), reverse=True))
    assert divide_patients(shuffled, [1 / folds] * folds, seed) == parts


@settings(max_examples=25, deadline=None)
@given(counts=patients, seed=st.integers(0, 2**31))
def test_fixed_patients_stay_where_they_are(counts, seed):
    fixed = dict.fromkeys(sorted(counts)[:3], 0)
    parts = divide_patients(counts, [0.8, 0.2], seed, fixed)
    assert all(parts[patient] == 0 for patient in fixed)
    assert 1 in parts.values()


def test_two_patients_who_alone_have_a_class_are_parted():
    counts = {str(patient): {"normal": 10} for patient in range(20)}
    counts["3"]["both"] = counts["17"]["both"] = 1
    for seed in range(5):
        parts = divide_patients(counts, [0.8, 0.2], seed)
        assert parts["3"] != parts["17"]


@pytest.mark.parametrize(("patients", "keep"), [(["1"], []), (["1", "2"], ["1", "2"]), ([], [])])
def test_a_train_part_that_leaves_no_patient_for_valid_is_refused(patients, keep):
    with pytest.raises(LungSRADError, match=f"{len(patients)} train patients, {len(keep)} of whom must stay"):
        draw_valid_patients({patient: {"normal": 1} for patient in patients}, 0.2, seed=0, keep=keep)


def test_too_few_patients_are_refused():
    with pytest.raises(LungSRADError, match="2 patients that can be assigned do not fill 3 parts"):
        divide_patients({"1": {"normal": 1}, "2": {"normal": 1}}, [1 / 3] * 3, seed=0)


def test_different_seeds_draw_different_patients():
    counts = {str(patient): {"normal": 10, "wheeze": patient % 3} for patient in range(30)}
    draws = {tuple(divide_patients(counts, [0.8, 0.2], seed).values()) for seed in range(4)}
    assert len(draws) > 1


def test_cycles_are_counted_by_patient_and_class():
    assert count_by_patient([("1", "normal"), ("2", "both"), ("1", "normal")]) == {"1": {"normal": 2}, "2": {"both": 1}}


def test_kept_patients_are_not_drawn():
    counts = {str(patient): {"normal": 5, "wheeze": patient % 2} for patient in range(12)}
    for seed in range(4):
        drawn = draw_valid_patients(counts, 0.25, seed, keep=["0", "1", "absent"])
        assert len(drawn) == 3
        assert not drawn & {"0", "1", "absent"}


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, float("nan")])
def test_what_is_no_share_is_refused(fraction):
    with pytest.raises(LungSRADError, match="valid_fraction="):
        draw_valid_patients({"1": {"normal": 1}, "2": {"normal": 1}}, fraction, seed=0)
