"""The small CNN: sizes, maps, and what it refuses."""

import pytest
import torch

from lung_srad_plugin import CNNEncoder, LungSRADError, smooth_blocks
from lung_srad_plugin.encoders.pretrained import load_pretrained
from lung_srad_plugin.nn.gaussian import gaussian_smooth


def test_it_has_about_0_3_million_parameters():
    assert sum(parameter.numel() for parameter in CNNEncoder().parameters()) == 277_536


@pytest.mark.parametrize(("frames", "mels"), [(3, 3), (4, 5), (399, 128), (1024, 128), (321, 64), (7, 6)])
def test_map_size_is_that_of_the_map(frames, mels):
    encoder = CNNEncoder([2, 3])
    assert encoder.map_size(frames, mels) == tuple(encoder.embed(torch.zeros(2, frames, mels)).shape[2:])
    assert encoder(torch.zeros(2, frames, mels)).shape == (2, 1, 3)


def test_its_convolutions_are_torch_s_own_one_after_another():
    torch.manual_seed(0)
    encoder, feats = CNNEncoder([4, 6, 8]).eval(), torch.randn(2, 40, 24)
    weights = [module for module in encoder.modules() if isinstance(module, torch.nn.Conv2d)]
    norms = [module for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
        x = feats.transpose(1, 2)[:, None]
        for index, (convolution, norm) in enumerate(zip(weights, norms, strict=True)):
            x = torch.nn.functional.conv2d(x, convolution.weight, stride=2 if index == 0 else 1, padding=1)
            x = (x - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
            x = x.relu()
            x = torch.nn.functional.max_pool2d(x, 2) if index < 2 else x
        torch.testing.assert_close(encoder(feats).squeeze(1), x.mean(dim=(2, 3)))


def test_the_map_of_a_stage_is_smoothed_before_it_is_pooled():
    torch.manual_seed(0)
    encoder, feats = CNNEncoder([4, 6, 8]).eval(), torch.randn(2, 40, 24)
    plain = encoder.stages(feats)
    smoothed = smooth_blocks(encoder, stage=0, blocks=[0], kernel_size=3, sigma=1.0, target="block").stages(feats)
    torch.testing.assert_close(smoothed[0], gaussian_smooth(plain[0], 3, 1.0))
    assert not torch.allclose(smoothed[1], plain[1])


@pytest.mark.parametrize("channels", [[], [8], [8, 0]])
def test_channels_that_make_no_encoder(channels):
    with pytest.raises(LungSRADError, match="channels="):
        CNNEncoder(channels)


def test_features_that_are_too_small():
    with pytest.raises(LungSRADError, match=r"\(2, 2, 128\): .* at least 3 frames"):
        CNNEncoder()(torch.zeros(2, 2, 128))


def test_there_are_no_weights_to_load(tmp_path):
    (tmp_path / "cnn.pth").write_bytes(b"")
    with pytest.raises(LungSRADError, match="no weights of CNNEncoder are published; set --pretrained null"):
        load_pretrained(CNNEncoder(), tmp_path / "cnn.pth", tmp_path)
