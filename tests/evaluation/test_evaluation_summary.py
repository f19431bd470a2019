import json

import numpy as np
import pytest

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.summary import evaluate_predictions
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.metrics.subgroups import subgroups
from lung_srad_plugin.metrics.table_metrics import metrics_with_intervals


def draw_table(**columns):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 40)
    targets = [CLASSES[i % 3] for i in range(40)]
    metadata = {"patient": rng.integers(0, 6, 40), "device": ["A", "B"] * 20, **columns}
    return make_table([f"c{i}" for i in range(40)], targets, probabilities, metadata=metadata)


def test_holds_every_part_and_survives_json():
    table = draw_table()
    result = evaluate_predictions(table, Bootstrap(40, seed=5), harmonic=True, group_by=["device"])
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["cycles"], result["patients"]) == (40, 6)
    assert result["support"] == {"normal": 14, "crackle": 13, "wheeze": 13, "both": 0}
    assert np.sum(result["confusion"]) == 40
    expected = metrics_with_intervals(table, Bootstrap(40, seed=5), harmonic=True)
    assert list(result["measures"]) == list(expected)
    assert result["measures"]["brier"] == {
        "value": expected["brier"].value,
        "low": expected["brier"].low,
        "high": expected["brier"].high,
        "undefined": 0,
    }
    assert [group["name"] for group in result["groups"]["device"]] == ["A", "B"]
    group = subgroups(table, "device", Bootstrap(40, seed=5))[1]
    assert result["groups"]["device"][1]["measures"]["ece"]["high"] == group.metrics["ece"].high
    assert sum(row["cycles"] for row in result["reliability"]) == 40


def test_what_is_undefined_is_none():
    result = evaluate_predictions(draw_table(), Bootstrap(10), group_by=())
    assert result["measures"]["recall_both"] == {"value": None, "low": None, "high": None, "undefined": 10}
    assert result["groups"] == {}


def test_missing_columns_are_refused():
    with pytest.raises(LungSRADError, match="no column 'location'"):
        evaluate_predictions(draw_table(), Bootstrap(2))
