"""The heads, and the model that joins them with an encoder, against each part applied by hand."""

import pytest
import torch
from conv_encoder import ConvEncoder
from torch import nn

from lung_srad_plugin.encoders.dass.encoder import DASSEncoder
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.nn.distillation import DistillationHead
from lung_srad_plugin.nn.heads import LogClassifier, Projector
from lung_srad_plugin.nn.losses import PatchMixContrastiveLoss
from lung_srad_plugin.nn.model import LungSoundModel, ModelOutput
from lung_srad_plugin.nn.patch_mix import apply_patch_mix, draw_patch_mix


def dass():
    return DASSEncoder([1, 1, 1, 1], [8, 16, 24, 32])


ENCODERS = pytest.mark.parametrize("make_encoder", [ConvEncoder, dass])


def build(make_encoder, seed=0):
    torch.manual_seed(seed)
    encoder = make_encoder()
    size = encoder.embedding_dim
    return LungSoundModel(encoder, LogClassifier(size, 4), Projector(size))


def draw(batch, axes=("time", "frequency"), seed=3):
    generator = torch.Generator().manual_seed(seed)
    return [draw_patch_mix(batch, (8, 16), axis, generator=generator) for axis in axes]


def feats(batch=4):
    return torch.randn(batch, 64, 32, generator=torch.Generator().manual_seed(1))


# ---- heads ----


def test_classifier_is_a_linear_layer_with_log_softmax():
    classifier = LogClassifier(6, 4)
    x = torch.randn(3, 6)
    logits = x @ classifier.linear.weight.T + classifier.linear.bias
    torch.testing.assert_close(classifier(x), torch.log(logits.exp() / logits.exp().sum(1, keepdim=True)))
    torch.testing.assert_close(classifier(x[:, None]), classifier(x)[:, None])
    assert list(classifier.state_dict()) == ["linear.weight", "linear.bias"]


def test_projector_is_its_four_layers():
    projector = Projector(5)
    x = torch.randn(7, 5)
    first, norm, relu, last = projector.layers
    hidden = first(x)
    scaled = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(projector(x), last(scaled.clamp(min=0)))
    assert isinstance(norm, nn.BatchNorm1d)
    assert isinstance(relu, nn.ReLU)


def test_projector_refuses_to_train_on_one_sample():
    projector = Projector(5)
    with pytest.raises(LungSRADError, match="drop_last"):
        projector(torch.randn(1, 5))
    assert projector.eval()(torch.randn(1, 5)).shape == (1, 5)


# ---- model ----


@ENCODERS
def test_output_is_each_part_applied_by_hand(make_encoder):
    model = build(make_encoder).eval()
    plans = draw(4, axes=("time", "frequency", "patch"))
    output = model(feats(), plans)
    maps = model.encoder.embed(feats())
    pooled = model.encoder.encode(maps)
    torch.testing.assert_close(output.pooled, pooled)
    torch.testing.assert_close(output.log_probs, model.classifier(pooled))
    assert len(output.projected) == 3
    for plan, projected in zip(plans, output.projected, strict=True):
        expected = model.projector(model.encoder.encode(apply_patch_mix(maps, plan)))
        torch.testing.assert_close(projected, expected, atol=1e-5, rtol=1e-4)


@ENCODERS
def test_one_pass_equals_separate_passes_with_gradients_and_statistics(make_encoder):
    outputs, gradients, statistics = [], [], []
    for one_pass in (True, False):
        model = build(make_encoder).train()
        plans = draw(4)
        output = model(feats(), plans, one_pass=one_pass)
        loss = nn.functional.nll_loss(output.log_probs, torch.tensor([0, 1, 2, 3]))
        for plan, projected in zip(plans, output.projected, strict=True):
            loss = loss + PatchMixContrastiveLoss()(output.pooled, projected, plan.lam, plan.index)
        loss.backward()
        outputs.append(output)
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        statistics.append(dict(model.projector.named_buffers()))
    assert all(gradient is not None for gradient in gradients[0].values())
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(statistics[0], statistics[1], atol=1e-5, rtol=1e-4)


def test_sounds_are_embedded_once():
    model = build(ConvEncoder)
    calls = []
    model.encoder.first.register_forward_hook(lambda *_: calls.append("embed"))
    model.encoder.blocks[0].register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    model(feats(), draw(4))
    model(feats(), draw(4), one_pass=False)
    assert calls == ["embed", 12, "embed", 4, 4, 4]


def test_clean_outputs_do_not_depend_on_the_mixing():
    model = build(ConvEncoder)
    plain, mixed = model(feats()), model(feats(), draw(4))
    assert plain.projected == ()
    torch.testing.assert_close(plain.log_probs, mixed.log_probs)


def test_output_is_a_tuple_of_tensors():
    output = build(ConvEncoder)(feats(), draw(4))
    assert isinstance(output, tuple)
    assert ModelOutput._fields == ("log_probs", "pooled", "projected", "distilled")
    leaves, _ = torch.utils._pytree.tree_flatten(output[:3])
    assert [tuple(leaf.shape) for leaf in leaves] == [(4, 4), (4, 8), (4, 8), (4, 8)]
    assert output.distilled is None


def test_distillation_head_processes_clean_features_in_training_only():
    model = LungSoundModel(ConvEncoder(), LogClassifier(8, 4), distillation_head=DistillationHead(8, 5))
    output = model(feats())
    assert torch.equal(output.distilled, model.distillation_head(output.pooled))
    assert model.eval()(feats()).distilled is None


def test_plans_without_projector_are_refused():
    encoder = ConvEncoder()
    model = LungSoundModel(encoder, LogClassifier(8, 4))
    assert model(feats()).projected == ()
    with pytest.raises(LungSRADError, match="need a projector"):
        model(feats(), draw(4))


def test_trains_under_bfloat16_autocast():
    model = build(dass)
    plans = draw(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(feats(), plans)
        loss = nn.functional.nll_loss(output.log_probs, torch.tensor([0, 1, 2, 3]))
        for plan, projected in zip(plans, output.projected, strict=True):
            loss = loss + PatchMixContrastiveLoss()(output.pooled, projected, plan.lam, plan.index)
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
