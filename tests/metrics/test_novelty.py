"""The distance from the training sounds and its limit, against numbers computed by hand and by scikit-learn."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.novelty import NoveltyDetector, fit_novelty, limit_at_rate, mahalanobis


def test_mahalanobis_by_hand():
    # Covariance [[2, 1], [1, 2]] has the inverse [[2, -1], [-1, 2]] / 3: (1, 1) is at sqrt(2 / 3), (1, -1) at sqrt(2).
    precision = np.array([[2.0, -1.0], [-1.0, 2.0]]) / 3
    found = mahalanobis(np.array([[4.0, 5.0], [4.0, 3.0], [3.0, 4.0]]), np.array([3.0, 4.0]), precision)
    assert found == pytest.approx([np.sqrt(2 / 3), np.sqrt(2), 0])


def test_a_score_of_one_is_the_limit():
    detector = NoveltyDetector(np.zeros(1), np.array([[4.0]]), limit=3.0)
    assert detector.scores(np.array([[1.5], [-3.0]])).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("rate", "above"), [(0.0, 0), (0.02, 1), (0.039, 1), (0.04, 2), (0.5, 25)])
def test_at_most_the_rate_exceeds_the_limit(rate, above):
    distances = np.random.default_rng(0).permutation(np.arange(1.0, 51.0))
    limit = limit_at_rate(distances, rate)
    assert (distances > limit).sum() == above and limit in distances


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(LungSRADError, match=f"rate={rate}"):
        limit_at_rate(np.arange(5.0), rate)


def test_the_fit_is_that_of_scikit_learn_whatever_the_units():
    draw = np.random.default_rng(1)
    train = draw.normal(size=(400, 3)) @ draw.normal(size=(3, 3)) + 5
    valid = {"cycles": train[:100] + 0.1, "windows": 1.5 * (train[100:150] - 5) + 5}
    detector = fit_novelty(train, valid, rate=0.04)
    whitened = (train - train.mean(0)) / train.std(0)
    expected = np.sqrt(LedoitWolf().fit(whitened).mahalanobis(whitened))
    assert detector.scores(train) * detector.limit == pytest.approx(expected)
    shares = [(detector.scores(rows) > 1).mean() for rows in valid.values()]
    assert max(shares) == 0.04 and min(shares) < 0.04  # the limit is the one that the more distant kind needs
    units = np.array([1.0, 100.0, 0.01])
    other = fit_novelty(train * units, {kind: rows * units for kind, rows in valid.items()}, rate=0.04)
    assert other.scores(train * units) == pytest.approx(detector.scores(train))


def test_too_few_sounds_are_refused():
    with pytest.raises(LungSRADError, match="99 training and 60 validation sounds are too few"):
        fit_novelty(np.zeros((99, 2)), {"cycles": np.zeros((60, 2))})
    with pytest.raises(LungSRADError, match="at least 100 and 50"):
        fit_novelty(np.zeros((200, 2)), {"cycles": np.zeros((20, 2)), "windows": np.zeros((29, 2))})
