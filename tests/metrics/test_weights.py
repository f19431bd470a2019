"""What resamples of patients count comes to the same by patient as cycle by cycle."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics import probabilistic
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.metrics.probabilistic import auroc, average_precision
from lung_srad_plugin.metrics.table_metrics import compute_metrics, metrics_with_intervals
from lung_srad_plugin.metrics.weights import PatientWeights


def draw(seed, cycles=40, patients=5, resamples=7):
    rng = np.random.default_rng(seed)
    weights = PatientWeights(rng.integers(0, 4, (resamples, patients)), rng.integers(0, patients, cycles))
    return rng, weights


@given(st.integers(0, 2**32 - 1))
def test_sums_are_those_of_the_array(seed):
    rng, weights = draw(seed)
    full = np.asarray(weights)
    assert full.shape == weights.shape == (7, 40)
    for values in (rng.normal(size=40), rng.normal(size=(40, 3)), rng.random(40) > 0.5):
        np.testing.assert_allclose(weights @ values, full @ values, atol=1e-12)
    np.testing.assert_array_equal(weights.sum(-1), full.sum(-1))
    with pytest.raises(ValueError, match="axis"):
        weights.sum(0)


@pytest.mark.parametrize("many", [False, True])
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_areas_are_those_of_the_definition(many, seed, levels, share):
    """For few and for many patients; few levels make many ties; some resamples have no positive, or no cycle at all."""
    rng, weights = draw(seed)
    scores, positive = rng.integers(0, levels, 40) / 7, rng.random(40) < share
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probabilistic, "MANY", 0 if many else 1 << 22)
        for area in (auroc, average_precision):
            expected = area(positive, scores, np.asarray(weights))
            np.testing.assert_allclose(area(positive, scores, weights), expected, atol=1e-12)


def test_every_metric_is_that_of_the_array():
    rng, weights = draw(0, cycles=200, patients=9)
    probabilities = rng.dirichlet(np.ones(4), 200)
    table = make_table(range(200), [CLASSES[i] for i in rng.integers(0, 4, 200)], probabilities)
    expected = compute_metrics(table, np.asarray(weights), harmonic=True)
    for name, value in compute_metrics(table, weights, harmonic=True).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-10, err_msg=name)


def test_a_hundred_thousand_patients_need_little_memory():
    """The sums by patient and both areas, of two resamples; the full membership matrix would have 80 gigabytes."""
    patients = 100_000
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, patients)
    sure = rng.random(patients) * 0.5 + 0.25 * targets
    probabilities = np.stack([1 - sure, sure], axis=1)
    ids = [str(number) for number in range(patients)]
    labels = ("healthy", "sick")
    table = make_table(ids, [labels[target] for target in targets], probabilities, labels, {"patient": ids})
    tracemalloc.start()
    intervals = metrics_with_intervals(table, Bootstrap(2))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500e6
    assert intervals["auroc_abnormal"].value == pytest.approx(sklearn_metrics.roc_auc_score(targets, sure), abs=1e-12)
    assert intervals["auroc_abnormal"].low < intervals["auroc_abnormal"].value < intervals["auroc_abnormal"].high
