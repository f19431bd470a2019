"""The contrastive loss against golden values and its definition, and the class weights against scikit-learn."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.nn.losses import PatchMixContrastiveLoss, class_weights, patch_mix_contrastive_loss


@pytest.mark.parametrize("case", range(4))
def test_golden_loss_and_gradient(golden, case):
    arrays = np.load(golden / "patchmix_loss.npz")
    settings = json.loads(str(arrays["cases"]))
    assert len(settings) == 4
    setting = settings[case]

    def tensor(name):
        return torch.from_numpy(arrays[f"{case}/{name}"])

    loss = PatchMixContrastiveLoss(setting["temperature"], setting["negatives"])
    clean, mixed = tensor("clean").requires_grad_(), tensor("mixed").requires_grad_()
    value = loss(clean, mixed, setting["lam"], tensor("index"), tensor("labels"))
    value.backward()
    assert value.item() == pytest.approx(float(arrays[f"{case}/loss"]), abs=1e-5)
    torch.testing.assert_close(mixed.grad, tensor("grad_mixed"), atol=1e-5, rtol=1e-5)
    assert clean.grad is None


def loss_by_hand(clean, mixed, lam, index, labels, temperature, negatives):
    """The definition, one similarity at a time."""
    clean, mixed, index, labels = clean.tolist(), mixed.tolist(), index.tolist(), labels.tolist()
    total = 0.0
    for i, row in enumerate(mixed):
        scores = {}
        for j, other in enumerate(clean):
            if negatives == "all" or j in (i, index[i]) or labels[j] != labels[i]:
                dot = sum(a * b for a, b in zip(row, other, strict=True))
                scores[j] = math.exp(dot / math.hypot(*row) / math.hypot(*other) / temperature)
        total -= lam * math.log(scores[i] / sum(scores.values()))
        total -= (1 - lam) * math.log(scores[index[i]] / sum(scores.values()))
    return total / len(mixed)


@given(
    seed=st.integers(0, 2**31),
    batch=st.integers(1, 6),
    lam=st.floats(0, 1),
    temperature=st.floats(0.06, 2),
    negatives=st.sampled_from(["all", "diff_label"]),
)
def test_is_the_definition(seed, batch, lam, temperature, negatives):
    generator = torch.Generator().manual_seed(seed)
    clean, mixed = torch.randn(2, batch, 5, generator=generator, dtype=torch.float64)
    index = torch.randperm(batch, generator=generator)
    labels = torch.randint(0, 3, (batch,), generator=generator)
    value = PatchMixContrastiveLoss(temperature, negatives)(clean, mixed, lam, index, labels)
    expected = loss_by_hand(clean, mixed, lam, index, labels, temperature, negatives)
    assert value.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_gradcheck_of_both_sides():
    clean, mixed = torch.randn(2, 4, 5, dtype=torch.float64)
    index = torch.tensor([1, 0, 3, 2])
    excluded = torch.rand(4, 4) < 0.5
    inputs = (clean.requires_grad_(), mixed.requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: patch_mix_contrastive_loss(a, b, 0.3, index, 0.2, excluded), inputs)


@pytest.mark.parametrize(("stop", "detached"), [("clean", {"clean"}), ("mixed", {"mixed"}), ("none", set())])
def test_stop_gradient_side(stop, detached):
    features = {name: torch.randn(4, 8, requires_grad=True) for name in ("clean", "mixed")}
    loss = PatchMixContrastiveLoss(stop_gradient=stop)
    loss(**features, lam=0.4, index=torch.tensor([1, 2, 3, 0])).backward()
    assert {name for name, tensor in features.items() if tensor.grad is None} == detached


def test_float32_under_autocast():
    clean, mixed = torch.randn(2, 16, 64)
    index = torch.randperm(16)
    loss = PatchMixContrastiveLoss(temperature=0.06)
    expected = loss(clean, mixed, 0.3, index)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(clean, mixed, 0.3, index), expected)
        value = loss(clean.bfloat16(), mixed.bfloat16(), 0.3, index)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected.item(), rel=0.02)


def test_unmixed_batch_is_plain_cross_entropy():
    clean, mixed = torch.randn(2, 8, 16)
    logits = F.cosine_similarity(mixed[:, None], clean[None], dim=2) / 0.2
    expected = F.cross_entropy(logits, torch.arange(8))
    value = PatchMixContrastiveLoss()(clean, mixed, lam=1.0, index=torch.randperm(8))
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"negatives": "same"}, "negatives='same'"),
        ({"stop_gradient": "both"}, "stop_gradient='both'"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(LungSRADError, match=message):
        PatchMixContrastiveLoss(**setting)


def test_missing_labels_are_refused():
    with pytest.raises(LungSRADError, match="needs the labels"):
        PatchMixContrastiveLoss(negatives="diff_label")(torch.ones(2, 2), torch.ones(2, 2), 0.5, torch.tensor([1, 0]))


def test_inverse_class_weights_agree_with_scikit_learn():
    counts = {"normal": 2063, "crackle": 1215, "wheeze": 501, "both": 363}
    labels = np.repeat(np.arange(4), list(counts.values()))
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    np.testing.assert_allclose(class_weights(counts, "inverse"), expected, rtol=1e-6)
    assert class_weights(counts, "none").tolist() == [1, 1, 1, 1]


def test_inverse_square_root_weights_by_hand():
    weights = class_weights({"normal": 16, "crackle": 4, "wheeze": 1}, "inverse_sqrt")
    np.testing.assert_allclose(weights, np.array([1 / 4, 1 / 2, 1]) * 21 / (4 + 2 + 1), rtol=1e-6)


def test_class_weights_refuse_empty_classes_and_unknown_schemes():
    with pytest.raises(LungSRADError, match="none of: wheeze, both"):
        class_weights({"normal": 3, "crackle": 1, "wheeze": 0, "both": 0}, "inverse")
    with pytest.raises(LungSRADError, match="'sqrt' is unknown"):
        class_weights({"normal": 3}, "sqrt")
