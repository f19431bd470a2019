"""A training run of a nano encoder with random weights, and what is exported from it: fixtures for all tests."""

import json
import time

import pytest
import torch

from lung_srad_plugin import DASSEncoder, LogClassifier, smooth_blocks
from lung_srad_plugin.export.export import export_run
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.labels import CLASSES

DEPTHS, DIMS, FRAMES = [1, 1], [16, 32], 128

# In the form that SpeechBrain gives a run's hyperparameters: anchors, aliases, comments.
SETTINGS = """\
# Generated from: somewhere
seed: 1
sample_rate: 16000
duration: 8.0  # seconds
frames: 128
labels: &id001 [normal, crackle, wheeze, both]
compute_features: !new:lung_srad_plugin.CycleFeatures
  duration: 8.0
  sample_rate: 16000
  frames: 128
  n_mels: 128
  high_hz:
  level: recorded
mean_var_norm: &id002 !new:lung_srad_plugin.FeatureNormalization
  kind: audioset
dims: &id003 [16, 32]
embedding_model: &id004 !apply:lung_srad_plugin.smooth_blocks
  encoder: !new:lung_srad_plugin.DASSEncoder
    depths: [1, 1]
    dims: *id003
    drop_path_rate: 0.1
    scan_backend: reference
    gradient_checkpointing: true
  stage: 1
  blocks: [0] # [] smooths none
  kernel_size: 3
  sigma: 1.0

# ---- a comment that belongs to nothing here ----
  target: ss2d
classifier: &id005 !new:lung_srad_plugin.LogClassifier
  input_size: !apply:operator.getitem [*id003, -1]
  classes: !apply:len [*id001]
model: !new:lung_srad_plugin.LungSoundModel
  encoder: *id004
  classifier: *id005
"""


def build_modules(seed):
    """An encoder and a head whose answers differ from sound to sound."""
    torch.manual_seed(seed)
    encoder = smooth_blocks(DASSEncoder(DEPTHS, DIMS), stage=1, blocks=[0], kernel_size=3, sigma=1.0)
    head = LogClassifier(DIMS[-1], classes=len(CLASSES))
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        head.linear.weight.mul_(10)
        # About even odds, so that no class drowns the others.
        pooled = encoder.encode(encoder.embed(0.4 * torch.randn(8, FRAMES, 128) - 0.5))
        head.linear.bias.copy_(-head.linear.weight @ pooled.mean(dim=0))
    return encoder.eval(), head.eval()


def write_run(folder):
    """Write a run with two checkpoints: epoch 1 is best on valid, epoch 2 the last."""
    folder.mkdir(parents=True)
    (folder / "hyperparams.yaml").write_text(SETTINGS, encoding="utf-8")
    for epoch, score in ((1, 60.0), (2, 50.0)):
        checkpoint = folder / "save" / f"CKPT+epoch{epoch}"
        checkpoint.mkdir(parents=True)
        encoder, head = build_modules(seed=epoch)
        torch.save(encoder.state_dict(), checkpoint / "embedding_model.ckpt")
        torch.save(head.state_dict(), checkpoint / "classifier.ckpt")
        (checkpoint / "whole.ckpt").write_text("whole\n", encoding="utf-8")
        meta = f"end-of-epoch: true\nepoch: {epoch}\nunixtime: {time.time()}\nvalid_score: {score}\n"
        (checkpoint / "CKPT.yaml").write_text("# yamllint disable\n" + meta, encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(results()), encoding="utf-8")
    return folder


def results():
    """Results as a run writes them, with numbers to be found again in the card."""
    scores = {"specificity": 61.5, "sensitivity": 41.25, "score": 51.375}
    both = {"cycles": 759, "4class": scores, "2class": {key: value + 10 for key, value in scores.items()}}
    confusion = [[324, 203, 0, 0], [53, 35, 0, 0], [80, 0, 31, 0], [23, 0, 3, 7]]
    recall = {"normal": 61.5, "crackle": 40.0, "wheeze": 30.0, "both": 20.0}
    return {
        "experiment": "tiny",
        "labels": list(CLASSES),
        "protocol": {"split": "official", "valid": "patients", "selection": {"valid": "best on valid", "last": "last"}},
        "selected": {
            "valid": {"epoch": 1, **both, "recall": recall, "confusion": confusion},
            "last": {"epoch": 2, **both, "recall": recall, "confusion": confusion},
        },
        "seed": 1,
        "data_folder": "somewhere/ICBHI",
        "pretrained": None,
        "parameters": 1234,
        "device": "cpu",
        "precision": {"training": "fp32", "evaluation": "fp32"},
        "commit": "0123abcd",
        "versions": {},
    }


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """The output folder of a training run; not to be changed."""
    return write_run(tmp_path_factory.mktemp("run") / "output")


@pytest.fixture(scope="session")
def model_folder(run_folder, tmp_path_factory):
    """A model folder exported from it; not to be changed."""
    return export_run(run_folder, tmp_path_factory.mktemp("exported") / "model")


@pytest.fixture(scope="session")
def classifier(model_folder):
    """The classifier of that folder."""
    return LungSoundClassifier.from_hparams(source=model_folder, run_opts={"device": "cpu"})
