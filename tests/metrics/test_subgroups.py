import math

import numpy as np
import pytest

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.metrics.subgroups import subgroups
from lung_srad_plugin.metrics.table_metrics import metrics_with_intervals


def draw_table(cycles=60, **columns):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), cycles)
    targets = [CLASSES[i] for i in rng.integers(0, 4, cycles)]
    metadata = {"patient": rng.integers(0, 6, cycles), **columns}
    return make_table([f"c{i}" for i in range(cycles)], targets, probabilities, metadata=metadata)


def test_each_group_is_scored_as_if_alone():
    devices = [("Meditron", "LittC2SE", "")[i % 3] for i in range(60)]
    table = draw_table(device=devices)
    groups = subgroups(table, "device", Bootstrap(30, seed=2))
    assert [group.name for group in groups] == ["LittC2SE", "Meditron", "unknown"]
    assert sum(group.cycles for group in groups) == 60
    part = table.rows(np.array([device == "LittC2SE" for device in devices]))
    assert repr(groups[0].metrics) == repr(metrics_with_intervals(part, Bootstrap(30, seed=2)))
    assert groups[0].patients == len(set(part.patients()))
    assert groups[0].support == {name: int((part.targets == i).sum()) for i, name in enumerate(CLASSES)}


@pytest.mark.parametrize(
    ("by", "values", "expected"),
    [
        (
            "age",
            ["0.25", "17.9", "18", "64", "65", "90", ""],
            {"below 18 years": 2, "18 to 65 years": 2, "65 years and above": 2, "unknown": 1},
        ),
        (
            "duration",
            ["0.2", "2.0", "2.9", "3", "3.5", "4.0", "16"],
            {"below 2 s": 1, "2 to 3 s": 2, "3 to 4 s": 2, "4 s and above": 2},
        ),
        ("sex", ["M", "F", " F ", "", "M", "M", " "], {"F": 2, "M": 3, "unknown": 2}),
    ],
)
def test_groups_by_hand(by, values, expected):
    groups = subgroups(draw_table(cycles=7, **{by: values}), by, Bootstrap(2))
    assert {group.name: group.cycles for group in groups} == expected
    assert [group.name for group in groups] == list(expected)


def test_a_group_of_one_patient_has_no_interval():
    table = draw_table(cycles=4, device=["A", "A", "B", "B"], patient=["1", "1", "2", "3"])
    first, second = subgroups(table, "device", Bootstrap(20))
    assert math.isnan(first.metrics["brier"].low)
    assert not math.isnan(second.metrics["brier"].low)


def test_missing_columns_and_bad_numbers_are_refused():
    with pytest.raises(LungSRADError, match="no column 'device'"):
        subgroups(draw_table(), by="device")
    for bad in ("old", "-3", "nan"):
        with pytest.raises(LungSRADError, match=f"ID c1: age is '{bad}'"):
            subgroups(draw_table(cycles=2, age=["3", bad]), by="age")
