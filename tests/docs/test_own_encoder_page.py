"""The encoder that the documentation writes is trained, exported and loaded as the page says."""

from pathlib import Path

import pytest
import torch
from markdown_blocks import blocks_of
from speechbrain.inference.classifiers import EncoderClassifier
from toy import write_toy_data

from lung_srad_plugin import LungSoundClassifier, LungSRADError
from lung_srad_plugin.encoders.base import Encoder
from lung_srad_plugin.training.recipe import train

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "own-encoder.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the two files of the page; what the yaml builds on comes with the package."""
    files = {block.title: block.text for block in blocks_of(PAGE) if block.title}
    assert set(files) == {"bands.py", "bands.yaml"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_encoder_of_the_page(folder):
    (folder / "data").mkdir()
    write_toy_data(folder / "data", cycles=(8, 4, 4))
    given = {
        **{"data_folder": "data", "feature_folder": "null", "skip_prep": True, "dim": 8, "frames": 64},
        **{f"{part}_csv": f"data/{part}.csv" for part in ("train", "valid", "test")},
        **{"batch_size": 4, "number_of_epochs": 1, "duration": 1.0},
    }
    pairs = [argument for key, value in given.items() for argument in (f"--{key}", str(value))]
    results = train(["bands.yaml", *pairs])
    assert results["parameters"] == 16 * 16 * 8 + 8 + 8 * 8 * 9 + 8
    assert set(results["selected"]) == {"valid", "last"}

    export = folder / "results" / "bands" / "1" / "export"
    with pytest.raises(LungSRADError, match=r"!new:bands\.BandsEncoder is not allowed.*--trust-code"):
        LungSoundClassifier.from_hparams(source=export)
    ours = LungSoundClassifier.from_hparams(source=export, trust_code=True, run_opts={"device": "cpu"})
    assert isinstance(ours.mods.embedding_model, Encoder)
    stock = EncoderClassifier.from_hparams(source=str(export), run_opts={"device": "cpu"})
    clips = 0.1 * torch.randn(2, 20000)
    torch.testing.assert_close(ours.classify_batch(clips)[0], stock.classify_batch(clips)[0], atol=1e-5, rtol=0)
