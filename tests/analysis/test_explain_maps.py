"""Integrated gradients and occlusion, and the numbers on maps: completeness, known areas, hand-computed values."""

import subprocess
import sys

import pytest
import torch
from area_model import FRAMES, MELS, AreaEncoder, SlopeHead, scan_with
from conv_encoder import ConvEncoder
from torch.testing import assert_close

from lung_srad_plugin import ASTEncoder, BEATsEncoder, CNNEncoder, DASSEncoder, LogClassifier, LungSRADError
from lung_srad_plugin.analysis.captum_maps import integrated_gradients, occlusion
from lung_srad_plugin.analysis.decision import Decision, baseline, target_classes
from lung_srad_plugin.analysis.explain import explain
from lung_srad_plugin.analysis.map_agreement import rank_correlation, removal_falls, top_overlap
from lung_srad_plugin.analysis.map_cells import divide_features
from lung_srad_plugin.labels import CLASSES


def decision_of(encoder, size, classes=(1,)):
    torch.manual_seed(1)
    return Decision(encoder.eval(), LogClassifier(size, classes=4).eval(), classes)


def area_decision():
    return Decision(AreaEncoder(scan_with([1.0] * 4, [0.5] * 4, [1.0] * 4)), SlopeHead(), classes=[1])


@pytest.fixture
def feats():
    return torch.randn(1, FRAMES, MELS, generator=torch.Generator().manual_seed(0))


def ast():
    pytest.importorskip("transformers")
    return ASTEncoder(hidden_size=16, layers=2, heads=2, intermediate_size=16, grid=(2, 3))


ENCODERS = {
    "dass": lambda: DASSEncoder([1, 1], [8, 16]),
    "conv": ConvEncoder,
    "cnn": lambda: CNNEncoder([4, 6, 8]),
    "ast": ast,
    "beats": lambda: BEATsEncoder(8, hidden_size=16, layers=2, heads=2, intermediate_size=16, position_groups=2),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_integrated_gradients_are_complete(name):
    torch.manual_seed(0)
    encoder, feats = ENCODERS[name](), 10 * torch.randn(1, 48, 32)
    decision = decision_of(encoder, encoder.embedding_dim)
    with torch.no_grad():
        difference = (decision(feats) - decision(baseline(feats))).item()
    found = integrated_gradients(decision, feats, steps=256)
    assert found.shape == (48, 32) and found.dtype == feats.dtype and not found.requires_grad
    assert found.sum().item() == pytest.approx(difference, rel=0.01, abs=1e-4)
    assert abs(difference) > 1e-3
    cells = divide_features(48, 32, rows=2, columns=3)
    assert torch.isfinite(occlusion(decision, feats, cells)).all()
    if name != "dass":
        with pytest.raises(LungSRADError, match="no SS2D layer"):
            explain(decision, feats, cells, ["mixing"])


def test_occlusion_is_the_fall_of_each_cell_set_to_the_mean(feats):
    decision = decision_of(ConvEncoder(), 8)
    cells = divide_features(FRAMES, MELS, rows=3, columns=4)
    found = cells.sum(occlusion(decision, feats, cells))
    for number in range(12):
        covered = torch.where(cells.of_position == number, feats.mean(), feats)
        with torch.no_grad():
            fall = (decision(feats) - decision(covered)).item()
        assert found.flatten()[number].item() == pytest.approx(fall, abs=1e-5)


@pytest.mark.parametrize("method", ["mixing", "gradients", "occlusion"])
def test_every_map_finds_the_area_that_a_model_looks_at(method, feats):
    cells = divide_features(FRAMES, MELS, rows=4, columns=10)  # of 4 frames and 4 bins, as the area has
    explained = explain(area_decision(), feats.abs() + 1, cells, [method])
    by_cell = cells.sum(explained.maps[method])
    expected = torch.zeros(4, 10, dtype=torch.bool)
    expected[1, 5:7] = True
    assert torch.equal(by_cell.abs() > 1e-6, expected)
    # Where nothing else counts, the two cells are all that removing can take away.
    highest = explained.falls[method][-1]
    assert explained.falls[method][0] == pytest.approx(highest, rel=0.5) and abs(highest) > 1e-4


def test_an_explanation_has_its_numbers(feats):
    cells = divide_features(FRAMES, MELS, rows=4, columns=10)
    explained = explain(area_decision(), feats.abs(), cells, ["mixing", "gradients", "occlusion"])
    assert list(explained.agreements) == [
        ("mixing", "gradients"), ("mixing", "occlusion"), ("gradients", "occlusion")
    ]  # fmt: skip
    assert all(-1 <= one.rank_correlation <= 1 and 0 <= one.top_overlap <= 1 for one in explained.agreements.values())
    assert set(explained.falls) == {"mixing", "gradients", "occlusion", "random"}
    gap = explained.log_odds - explained.log_odds_of_baseline
    assert explained.maps["gradients"].sum().item() == pytest.approx(gap, rel=0.02)
    again = explain(area_decision(), feats.abs(), cells, ["mixing"])
    assert again.falls["random"] == explained.falls["random"]


def test_rank_correlation_and_overlap_by_hand():
    first = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])
    assert rank_correlation(first, torch.tensor([[2.0, 1.0, 4.0, 3.0, 5.0]])) == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert rank_correlation(first, -first) == pytest.approx(-1)
    assert rank_correlation(first, torch.ones(1, 5)) is None
    assert top_overlap(first, torch.tensor([[5.0, 1.0, 2.0, 3.0, 4.0]]), share=0.4) == 0.5
    assert top_overlap(first, first, share=0.1) == 1
    with pytest.raises(LungSRADError, match=r"\(1, 5\) and \(5,\) cells"):
        top_overlap(first, first[0])


def test_removing_the_highest_cells_by_hand():
    """With the mean of the features as log-odds, removing a cell takes what it has above the mean, by its size."""
    feats = torch.zeros(1, 4, 2)
    feats[0, 0, 0], feats[0, 3, 1] = 8.0, 4.0
    mean = Decision(lambda x, lens: x.mean(dim=(1, 2))[:, None, None], SlopeHead(), classes=[1])
    cells = divide_features(4, 2, rows=2, columns=4)
    falls = removal_falls(mean, feats, cells, cells.sum(feats[0]), shares=(0.125, 0.25, 1.0))
    assert falls == pytest.approx([(8 - 1.5) / 8, (8 + 4 - 3) / 8, 0.0], abs=1e-6)


@pytest.mark.parametrize(("frames", "mels", "rows", "columns"), [(319, 64, 8, 20), (7, 5, 2, 3), (4, 4, 4, 4)])
def test_cells_divide_all_positions_evenly(frames, mels, rows, columns):
    cells = divide_features(frames, mels, rows, columns)
    frames_of = [(cells.of_position[:, 0] == column).sum().item() for column in range(columns)]
    mels_of = [(cells.of_position[0] // columns == row).sum().item() for row in range(rows)]
    assert sum(frames_of) == frames and max(frames_of) - min(frames_of) <= 1
    assert sum(mels_of) == mels and max(mels_of) - min(mels_of) <= 1
    values = torch.rand(frames, mels)
    assert_close(cells.sum(values).sum(), values.sum())
    assert_close(cells.sum(values)[-1, 0], values[cells.of_position == (rows - 1) * columns].sum())


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (17, 1), (1, 41)])
def test_cells_that_do_not_fit_are_refused(rows, columns):
    with pytest.raises(LungSRADError, match=f"{rows} rows and {columns} columns"):
        divide_features(FRAMES, MELS, rows, columns)


def test_log_odds_are_those_of_the_probability(feats):
    decision = decision_of(ConvEncoder(), 8, classes=(1, 3))
    probability = decision.head(decision.encoder(feats)).exp()[0, 0, [1, 3]].sum()
    assert decision(feats).item() == pytest.approx(torch.logit(probability).item(), abs=1e-5)


@pytest.mark.parametrize("classes", [(), (0, 1, 2, 3), (4,)])
def test_classes_that_leave_nothing_to_compare_are_refused(classes, feats):
    with pytest.raises(LungSRADError, match="4 classes"):
        decision_of(ConvEncoder(), 8, classes)(feats)


def test_targets():
    probabilities = (0.1, 0.2, 0.6, 0.1)
    assert target_classes("predicted", CLASSES, probabilities) == [2]
    assert target_classes("abnormal", CLASSES, probabilities) == [1, 2, 3]
    assert target_classes("abnormal", ("normal", "abnormal"), (0.9, 0.1)) == [1]
    assert target_classes("both", CLASSES, probabilities) == [3]
    with pytest.raises(LungSRADError, match=r"'rhonchi'.*crackle"):
        target_classes("rhonchi", CLASSES, probabilities)


@pytest.mark.parametrize("methods", [[], ["mixing", "mixing"], ["saliency"]])
def test_methods_that_do_not_exist_are_refused(methods, feats):
    with pytest.raises(LungSRADError, match="expected some of mixing, gradients, occlusion"):
        explain(area_decision(), feats, divide_features(FRAMES, MELS, 4, 10), methods)


def test_without_captum_the_error_names_the_cure(feats, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(LungSRADError, match=r"pip install 'lung-srad\[explain\]'"):
        integrated_gradients(area_decision(), feats)
    explain(area_decision(), feats, divide_features(FRAMES, MELS, 4, 10), ["mixing"])


def test_captum_is_imported_only_for_its_maps():
    code = "import sys, lung_srad_plugin.analysis.explain\nassert 'captum' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_steps_are_doubled_until_the_sum_is_that_of_the_log_odds():
    """A decision that jumps near the baseline, as encoders that normalise patches do."""
    jump = Decision(lambda x, lens: torch.tanh(200 * x).mean(dim=(1, 2))[:, None, None], SlopeHead(5.0), classes=[1])
    feats = torch.linspace(-1, 2, 12).view(1, 4, 3)
    with torch.no_grad():
        difference = (jump(feats) - jump(baseline(feats))).item()
    few = integrated_gradients(jump, feats, steps=4, most_steps=4).sum().item()
    many = integrated_gradients(jump, feats, steps=4).sum().item()
    assert abs(few - difference) > 0.05 * abs(difference)
    assert many == pytest.approx(difference, abs=0.01 * (1 + abs(difference)))
