import math
import statistics

import numpy as np
import pytest

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.comparison import mean_with_intervals, over_seeds, paired_difference
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.metrics.table_metrics import compute_metrics, metrics_with_intervals


def draw_table(seed, skill=0.0, cycles=200, patients=12):
    """Answers of one model; every seed has the same cycles, and more skill means better answers."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, cycles)
    patient = rng.integers(0, patients, cycles)
    noise = np.random.default_rng(seed).dirichlet(np.ones(4), cycles)
    probabilities = (1 - skill) * noise + skill * np.eye(4)[targets]
    ids = [f"c{i}" for i in range(cycles)]
    return make_table(ids, [CLASSES[t] for t in targets], probabilities, metadata={"patient": patient})


def test_over_seeds_by_hand():
    summary = over_seeds({0: 60.0, 1: 63.0, 2: 66.0})
    assert (summary.mean, summary.sd) == (63.0, 3.0)
    assert summary.sd == statistics.stdev(summary.values.values())
    assert summary.values == {0: 60.0, 1: 63.0, 2: 66.0}


def test_one_seed_has_no_deviation_and_none_is_refused():
    assert math.isnan(over_seeds({7: 60.0}).sd)
    with pytest.raises(LungSRADError, match="no seeds"):
        over_seeds({})


def test_value_is_the_difference_of_the_means():
    first, second = [draw_table(1), draw_table(2)], [draw_table(3, skill=0.3)]
    differences = paired_difference(first, second, Bootstrap(50), harmonic=True)
    for name, interval in differences.items():
        before = np.mean([compute_metrics(table, harmonic=True)[name] for table in first])
        assert interval.value == pytest.approx(compute_metrics(second[0], harmonic=True)[name] - before)
        assert interval.low <= interval.high


def test_a_model_against_itself_differs_by_nothing():
    for interval in paired_difference([draw_table(1)], [draw_table(1)], Bootstrap(50)).values():
        assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_swapping_turns_the_sign():
    one = paired_difference([draw_table(1)], [draw_table(2)], Bootstrap(200, seed=4))
    other = paired_difference([draw_table(2)], [draw_table(1)], Bootstrap(200, seed=4))
    for name, interval in one.items():
        assert (other[name].low, other[name].high) == pytest.approx((-interval.high, -interval.low))


def test_pairing_is_narrower_than_two_intervals():
    # The second model answers as the first, but for a little skill: what is hard about a patient is shared.
    first, second = draw_table(1), draw_table(1, skill=0.05)
    paired = paired_difference([first], [second], Bootstrap(500))["brier"]
    single = metrics_with_intervals(first, Bootstrap(500))["brier"]
    assert paired.high < 0
    assert paired.high - paired.low < 0.5 * (single.high - single.low)


def test_the_order_of_rows_does_not_matter():
    first, second = draw_table(1), draw_table(2)
    shuffled = second.rows(np.random.default_rng(0).permutation(len(second)))
    assert paired_difference([first], [shuffled], Bootstrap(50)) == paired_difference([first], [second], Bootstrap(50))


def test_other_cycles_and_no_runs_are_refused():
    first = draw_table(1)
    with pytest.raises(LungSRADError, match="no prediction for c199"):
        paired_difference([first], [first.rows(slice(0, 199))])
    with pytest.raises(LungSRADError, match="1 runs against 0"):
        paired_difference([first], [])


def test_mean_over_runs_is_resampled_as_one():
    runs = [draw_table(1), draw_table(2), draw_table(3, skill=0.3)]
    shuffled = [runs[0], runs[1].rows(np.random.default_rng(0).permutation(200)), runs[2]]
    means = mean_with_intervals(shuffled, Bootstrap(200))
    for name, interval in means.items():
        assert interval.value == pytest.approx(np.mean([compute_metrics(run)[name] for run in runs]))
        assert interval.low <= interval.value <= interval.high or name == "ece"
    # The mean over one run is that run.
    assert mean_with_intervals(runs[:1], Bootstrap(50)) == metrics_with_intervals(runs[0], Bootstrap(50))
    with pytest.raises(LungSRADError, match="no runs"):
        mean_with_intervals([])
    with pytest.raises(LungSRADError, match="no prediction for c199"):
        mean_with_intervals([runs[0], runs[1].rows(slice(0, 199))])
