"""Adapters of LoRA against their definition, with and without gradients: no fast path may leave them out."""

import importlib.util

import pytest
import torch

from lung_srad_plugin import DASSEncoder, LungSRADError, smooth_blocks
from lung_srad_plugin.nn import adapters
from lung_srad_plugin.nn.adapters import adapted_layers, adapter_weights, add_adapters, load_adapter_weights, merged

pytestmark = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="needs peft, of the extra [lora]")
RANK, ALPHA = 3, 6.0


@pytest.fixture
def encoder():
    """A small DASS with smoothing and adapters that change its output."""
    torch.manual_seed(0)
    encoder = smooth_blocks(DASSEncoder([1, 2], [16, 32]), stage=1, blocks=[1])
    add_adapters(encoder, RANK, ALPHA)
    with torch.no_grad():
        for name, values in encoder.named_parameters():
            if "lora_" in name:
                values.normal_(std=0.3)
    return encoder.eval()


def feats():
    return torch.randn(2, 48, 32, generator=torch.Generator().manual_seed(1))


def slow_reference(encoder):
    """A DASS of the reference scan whose weights are W + alpha / rank * B A, by the definition."""
    state, weights = encoder.state_dict(), {}
    for name, values in state.items():
        if ".lora_" not in name:
            weights[name.replace(".base_layer", "")] = values.clone()
    for name, values in state.items():
        if ".lora_A." in name:
            layer = name.split(".lora_A.")[0]
            update = state[name.replace("lora_A", "lora_B")] @ values
            weights[f"{layer}.weight"] += ALPHA / RANK * update
    plain = smooth_blocks(DASSEncoder([1, 2], [16, 32], scan_backend="reference"), stage=1, blocks=[1])
    plain.load_state_dict(weights)
    return plain.eval()


@pytest.mark.parametrize("no_grad", [False, True])
def test_output_is_that_of_the_summed_weights(encoder, no_grad):
    expected = slow_reference(encoder)(feats())
    without = DASSEncoder([1, 2], [16, 32])
    with torch.set_grad_enabled(not no_grad):
        found = encoder(feats())
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    names = {name.replace(".base_layer", ""): values for name, values in encoder.state_dict().items()}
    without.load_state_dict({name: names[name] for name in without.state_dict()})
    assert (without.eval()(feats()) - expected).abs().max() > 0.1


def test_gradients_of_adapters_are_those_of_the_definition(encoder):
    """dL/dA = s B^T dL/dW and dL/dB = s dL/dW A^T, with dL/dW of the reference scan; nothing else has a gradient."""
    reference = slow_reference(encoder)
    for model in (encoder, reference):
        (model(feats()) ** 2).sum().backward()
    gradients = {name: values.grad for name, values in reference.named_parameters()}
    layers = adapted_layers(encoder)
    assert len(layers) == 3 * 4
    for name in layers:
        layer = encoder.get_submodule(name)
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        full = gradients[f"{name}.weight"]
        torch.testing.assert_close(a.grad, ALPHA / RANK * b.T @ full, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(b.grad, ALPHA / RANK * full @ a.T, atol=1e-4, rtol=1e-3)
    assert all(values.grad is None for name, values in encoder.named_parameters() if "lora_" not in name)


def test_merged_copy_gives_the_same_output_and_leaves_the_encoder(encoder):
    plain = merged(encoder)
    assert adapted_layers(plain) == [] and len(adapted_layers(encoder)) == 12
    assert set(plain.state_dict()) == set(slow_reference(encoder).state_dict())
    with torch.no_grad():
        torch.testing.assert_close(plain(feats()), encoder(feats()), atol=1e-5, rtol=1e-5)


def test_training_starts_at_the_frozen_encoder():
    torch.manual_seed(0)
    encoder = DASSEncoder([1], [16]).eval()
    before = encoder(feats())
    add_adapters(encoder, 4)
    assert torch.equal(encoder(feats()), before)


def test_weights_move_between_encoders(encoder):
    other = DASSEncoder([1, 2], [16, 32])
    add_adapters(other, RANK, ALPHA)
    weights = {name: values.clone() for name, values in adapter_weights(encoder).items()}
    load_adapter_weights(other, weights, "adapters.ckpt")
    assert all(torch.equal(values, weights[name]) for name, values in adapter_weights(other).items())
    del weights[next(iter(weights))]
    with pytest.raises(LungSRADError, match=r"adapters\.ckpt: does not fit"):
        load_adapter_weights(other, weights, "adapters.ckpt")


def test_running_statistics_count_as_trained():
    encoder = DASSEncoder([1], [16], norm="batch")
    add_adapters(encoder, 2)
    assert "norm.running_mean" in adapter_weights(encoder) and "norm.weight" not in adapter_weights(encoder)


def test_targets_are_named():
    encoder = DASSEncoder([1], [16])
    with pytest.raises(LungSRADError, match="named query, conv2d; the encoder has fc1, fc2, in_proj, out_proj"):
        add_adapters(encoder, 2, targets=["query", "conv2d", "fc1"])
    assert add_adapters(encoder, 2, targets=["fc1"]) == ["layers.0.blocks.0.mlp.fc1"]
    with pytest.raises(LungSRADError, match="has adapters already"):
        add_adapters(encoder, 2)


def test_layers_whose_weights_are_read_by_others_are_refused():
    attention = torch.nn.ModuleDict({"attention": torch.nn.MultiheadAttention(8, 2)})
    with pytest.raises(LungSRADError, match=r"attention\.out_proj is read by MultiheadAttention"):
        add_adapters(attention, 2)
    with pytest.raises(LungSRADError, match="no linear layer"):
        add_adapters(torch.nn.Conv2d(1, 2, 3), 2)


def test_without_peft_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(LungSRADError, match=r'pip install "lung-srad\[lora\]"'):
        adapters.import_peft()
