"""Normalisation by AudioSet's statistics, each clip's own, or those of the training part."""

import pytest
import torch

from lung_srad_plugin import AudioSetNormalization, FeatureNormalization, LungSRADError


def clips(count=3):
    return 4 * torch.randn(count, 50, 20, generator=torch.Generator().manual_seed(0)) - 6


def test_audioset_is_the_published_one():
    feats = torch.tensor([[[-4.2677393, -4.2677393 + 2 * 4.5689974]]])
    torch.testing.assert_close(FeatureNormalization()(feats), torch.tensor([[[0.0, 1.0]]]))
    feats = clips()
    assert torch.equal(AudioSetNormalization()(feats, torch.ones(3)), (feats + 4.2677393) / (2 * 4.5689974))
    assert torch.equal(AudioSetNormalization()(feats), FeatureNormalization("audioset")(feats))


def test_clip_takes_each_clips_own_mean_and_deviation():
    feats = clips() * torch.tensor([1.0, 2.0, 0.1])[:, None, None]
    found = FeatureNormalization("clip")(feats, torch.ones(3))
    for clip, result in zip(feats, found, strict=True):
        torch.testing.assert_close(result, (clip - clip.mean()) / (2 * clip.std()))
        assert result.std().item() == pytest.approx(0.5)


def test_bin_mean_is_blind_to_a_fixed_frequency_response():
    feats = clips()
    colour = torch.linspace(-3, 3, 20)
    normalization = FeatureNormalization("bin_mean")
    torch.testing.assert_close(normalization(feats + colour), normalization(feats))
    found = normalization(feats, torch.ones(3))[1, :, 4] * 2 * 4.5689974
    torch.testing.assert_close(found, feats[1, :, 4] - feats[1, :, 4].mean())


def test_a_silent_clip_stays_finite():
    assert FeatureNormalization("clip")(torch.full((1, 50, 20), -15.94)).abs().max() == 0


def test_dataset_takes_those_of_all_training_values():
    feats = clips()
    normalization = FeatureNormalization("dataset")
    normalization.fit(iter(feats))
    assert normalization.mean.item() == pytest.approx(feats.mean().item(), abs=1e-5)
    assert normalization.std.item() == pytest.approx(feats.double().std(correction=0).item(), rel=1e-6)
    torch.testing.assert_close(normalization(feats), (feats - feats.mean()) / (2 * feats.std(correction=0)))


def test_statistics_are_kept_with_the_weights():
    trained, other = FeatureNormalization("dataset"), FeatureNormalization("dataset")
    trained.fit(clips())
    other.load_state_dict(trained.state_dict())
    assert torch.equal(other(clips()), trained(clips()))
    built = FeatureNormalization("dataset", mean=trained.mean.item(), std=trained.std.item())
    assert torch.equal(built(clips()), trained(clips()))
    assert not FeatureNormalization("clip").state_dict() and not AudioSetNormalization().state_dict()


@pytest.mark.parametrize("kind", ["audioset", "clip"])
def test_the_others_read_no_training_clips(kind):
    def unread():
        raise AssertionError
        yield

    FeatureNormalization(kind).fit(unread())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (
            {"kind": "speaker"},
            "normalization='speaker': expected one of audioset, clip, clip_mean, bin_mean, beats, dataset",
        ),
        ({"kind": "dataset", "mean": 1.0}, "std=None"),
        ({"kind": "clip", "mean": 1.0, "std": 1.0}, "normalization='clip'"),
        ({"kind": "dataset", "mean": 1.0, "std": 0.0}, "deviation 0"),
        ({"kind": "dataset", "mean": float("nan"), "std": 1.0}, "mean nan"),
    ],
)
def test_bad_settings_are_refused(arguments, named):
    with pytest.raises(LungSRADError, match=named):
        FeatureNormalization(**arguments)


@pytest.mark.parametrize("fitted_on", [[], [torch.full((2, 3), -15.94)]])
def test_a_training_part_without_sound_is_refused(fitted_on):
    with pytest.raises(LungSRADError, match="the training part needs cycles with sound"):
        FeatureNormalization("dataset").fit(fitted_on)
