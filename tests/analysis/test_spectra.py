"""The spectra of an encoder's blocks, against what the single functions say of its layers."""

import numpy as np
import pytest
import torch
from conv_encoder import ConvEncoder

from lung_srad_plugin import (
    ASTEncoder,
    DASSEncoder,
    LungSRADError,
    energy_above,
    frequency_retention,
    gaussian_smooth,
    scan_mixing,
    smooth_blocks,
    unscaled_response,
)
from lung_srad_plugin.analysis.candidate_blocks import peak_height, rank_blocks
from lung_srad_plugin.analysis.cycles import select_cycles
from lung_srad_plugin.analysis.mixing_layers import mixing_layers, run_clip
from lung_srad_plugin.analysis.spectra import BlockSpectrum, Curves, Smoothing, measure_spectra

FEATS = torch.randn(1, 64, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return smooth_blocks(DASSEncoder([1, 2], [8, 16]), stage=1, blocks=[1], kernel_size=3, sigma=1.0).eval()


# ---- layers and what passes through them ----


def test_layers_are_found_by_stage_and_block(encoder):
    layers = mixing_layers(encoder)
    assert [layer.name for layer in layers] == ["0.0", "1.0", "1.1"]
    assert [layer.smoothing is not None for layer in layers] == [False, False, True]
    assert [layer.name for layer in mixing_layers(encoder, ["1.1", "0"])] == ["0.0", "1.1"]


def test_smoothing_of_the_whole_block_is_found_too():
    encoder = smooth_blocks(DASSEncoder([2], [8]), stage=0, blocks=[0], target="block")
    assert [layer.smoothing is not None for layer in mixing_layers(encoder)] == [True, False]


def test_blocks_that_do_not_exist_are_named_with_those_that_do(encoder):
    with pytest.raises(LungSRADError, match=r"blocks 2, 1\.7, 1:0: .*0\.0 to 0\.0, 1\.0 to 1\.1"):
        mixing_layers(encoder, ["2", "1.7", "1:0", "1.1"])


def test_an_encoder_that_mixes_nothing_is_refused():
    with pytest.raises(LungSRADError, match="ConvEncoder: none of its blocks has an SS2D or attention layer"):
        mixing_layers(ConvEncoder())


def test_what_passed_is_what_the_layers_scan_and_the_blocks_return(encoder):
    layers = mixing_layers(encoder)
    for layer, passed in zip(layers, run_clip(encoder, FEATS, layers), strict=True):
        assert passed.size == ((8, 16) if layer.stage == 0 else (4, 8))
        with torch.no_grad():
            torch.testing.assert_close(layer.whole_block(passed.block_input), passed.block_output)
            block = layer.whole_block
            torch.testing.assert_close(layer.module.activations(block.norm(passed.block_input)), passed.u)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in encoder.modules())


# ---- curves ----


def test_curves_of_a_scan_before_and_after_its_own_smoothing(encoder):
    layers = mixing_layers(encoder, ["1.1"])
    (spectrum,) = measure_spectra(encoder, [FEATS, FEATS + 1], ["1.1"], cutoff=0.2)
    (passed,) = run_clip(encoder, FEATS + 1, layers)
    mixing = scan_mixing(layers[0].module, passed.u)[0].mean(dim=0)
    with torch.no_grad():
        smoothed = scan_mixing(encoder.map_module(encoder.activation_maps()[-2]), passed.u)[0].mean(dim=0)
    assert spectrum.smoothed
    for curves, matrix in ((spectrum.before, mixing), (spectrum.after, smoothed)):
        assert curves.response["positions"].shape == (2, 17)
        expected = unscaled_response(matrix, (32,))
        np.testing.assert_allclose(curves.response["positions"][1], expected, rtol=1e-4)
        over_both = unscaled_response(matrix, (4, 8))
        np.testing.assert_allclose(curves.retention[1], frequency_retention(over_both, (4, 8), 0.2), rtol=1e-4)
        weights = torch.tensor([1.0, 2, 2, 2, 1], dtype=torch.float64) / 8
        np.testing.assert_allclose(curves.response["frequency"][1], over_both @ weights, rtol=1e-4)
    shares = energy_above(passed.block_output[0], (0.2,))
    np.testing.assert_allclose(spectrum.energy[1], [shares.frequency.item(), shares.time.item()])
    assert spectrum.whole is None


def test_a_block_that_is_not_smoothed_is_shown_as_if_it_were(encoder):
    (spectrum,) = measure_spectra(encoder, [FEATS], ["1.0"], Smoothing(3, 0.8, "replicate"))
    layers = mixing_layers(encoder, ["1.0"])
    (passed,) = run_clip(encoder, FEATS, layers)
    columns = scan_mixing(layers[0].module, passed.u)[0].mean(dim=0).T.view(1, 32, 4, 8)
    smoothed = gaussian_smooth(columns, 3, 0.8, "replicate").view(32, 32).T
    assert not spectrum.smoothed
    np.testing.assert_allclose(spectrum.after.response["positions"][0], unscaled_response(smoothed, (32,)), rtol=1e-4)


def test_smoothing_that_does_not_exist_is_refused_at_once():
    with pytest.raises(LungSRADError, match="kernel_size=4"):
        Smoothing(4)


def test_whole_blocks_are_measured_where_asked(encoder):
    (spectrum,) = measure_spectra(encoder, [FEATS], ["1.0"], whole_blocks=True)
    assert spectrum.whole.gain["frequency"].shape == (1, 3)
    assert spectrum.whole.kept["time"].shape == (1, 5)
    assert (spectrum.whole.gain["time"] > 0).all()


def test_attention_leaves_out_tokens_of_no_position():
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 12, "layers": 2, "heads": 3, "intermediate_size": 16, "stride": 16, "grid": (2, 4)}
    encoder = smooth_blocks(ASTEncoder(**sizes), stage=0, blocks=[1], kernel_size=3, sigma=1.0, target="block").eval()
    first, second = measure_spectra(encoder, [FEATS], whole_blocks=True)
    assert first.size == (2, 4)
    assert [first.smoothed, second.smoothed] == [False, True]
    layer = mixing_layers(encoder, ["0.1"])[0]
    (passed,) = run_clip(encoder, FEATS, [layer])
    assert passed.u.shape == (1, 2 + 8, 12)
    mixing = encoder.attention_weights(FEATS)[1][0].mean(dim=0)[2:, 2:]
    torch.testing.assert_close(scan_mixing(layer.module, passed.u)[0, 0, 2:, 2:], mixing)
    np.testing.assert_allclose(second.before.response["positions"][0], unscaled_response(mixing, (8,)), rtol=1e-4)
    assert second.whole.gain["time"].shape == (1, 3)


def test_memory_is_foreseen_for_all_blocks_before_anything_is_computed(encoder, monkeypatch):
    monkeypatch.setattr("lung_srad_plugin.analysis.spectra._measure", pytest.fail)
    with pytest.raises(LungSRADError, match=r"blocks 0\.0: .* 327,680 bytes, more than 100,000; .* of 1\.0, 1\.1"):
        measure_spectra(encoder, [FEATS], max_bytes=100_000)


def test_no_clip_is_refused(encoder):
    with pytest.raises(LungSRADError, match="no clips"):
        measure_spectra(encoder, [])


# ---- candidates for smoothing ----


def spectrum_of(block, curves, stage=2):
    curves = np.array(curves, dtype=float)
    both = Curves({"positions": curves}, np.ones((len(curves), 3)))
    return BlockSpectrum(stage, block, (2, 4), False, both, both, np.zeros((len(curves), 2)), None)


def test_peak_heights_by_hand():
    assert peak_height(np.array([5.0, 1.0, 3.0, 1.0, 2.0])) == pytest.approx(0.5)
    assert peak_height(np.array([1.0, 1.0, 1.0])) == 0
    assert peak_height(np.array([0.0, 1.0, 2.0])) == 0  # an end is no peak


def test_blocks_with_the_highest_peaks_come_first():
    falling, small, high = [4, 3, 2, 1, 0], [4, 1, 2, 1, 0], [4, 0, 3, 1, 0]
    # In the second cycle block 1 has no peak at all.
    blocks = [spectrum_of(0, [falling, small]), spectrum_of(1, [high, falling]), spectrum_of(2, [high, high])]
    ranked = rank_blocks(blocks, count=1, resamples=400)
    assert [one.block for one in ranked] == [2, 1, 0]
    assert [one.selected for one in ranked] == [True, False, False]
    assert ranked[0].peak == pytest.approx(0.75)
    assert ranked[1].peak == pytest.approx(0.375)
    assert ranked[1].spread == pytest.approx(0.75 / 2**0.5)
    # Block 1 is as good as block 2, and earlier, where both draws are of the first cycle: a quarter of the resamples.
    assert ranked[1].share == pytest.approx(0.25, abs=0.08)
    assert sum(one.share for one in ranked) == pytest.approx(1)
    assert rank_blocks(blocks, count=1, resamples=400) == ranked


def test_each_stage_has_its_own_ranking():
    blocks = [spectrum_of(0, [[4, 0, 1, 0]], stage=0), spectrum_of(0, [[4, 0, 3, 0]]), spectrum_of(1, [[4, 0, 2, 0]])]
    ranked = rank_blocks(blocks)
    assert [(one.stage, one.block) for one in ranked] == [(0, 0), (2, 0), (2, 1)]
    assert np.isnan(ranked[0].spread)
    with pytest.raises(LungSRADError, match="count=0"):
        rank_blocks(blocks, count=0)


# ---- cycles ----


def test_classes_have_equal_parts_as_far_as_there_are_cycles():
    rows = [{"ID": str(index), "label": "a" if index < 6 else "b"} for index in range(8)]
    assert [row["ID"] for row in select_cycles(rows, 4, ["a", "b"])] == ["1", "4", "6", "7"]
    assert len(select_cycles(rows, 7, ["a", "b"])) == 7
    assert len(select_cycles(rows, 100, ["b"])) == 2
    with pytest.raises(LungSRADError, match=r"classes c: no cycle .* it has a, b"):
        select_cycles(rows, 4, ["a", "c"])
    with pytest.raises(LungSRADError, match="cycles=0"):
        select_cycles(rows, 0, ["a"])
