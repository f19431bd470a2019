"""A toy data set and a training run small enough for tests: real files, real manifests, the real recipe."""

from pathlib import Path

import numpy as np
import soundfile

from lung_srad_plugin.datasets.manifests import write_manifest
from lung_srad_plugin.labels import CLASSES

HPARAMS = Path(__file__).parents[1] / "hparams"
RECIPE = Path(__file__).parents[1] / "recipes" / "ICBHI" / "train.py"
SECONDS = 2.0


def write_toy_data(folder, labels=CLASSES, cycles=(24, 8, 12)):
    """Write wav files, each one cycle, and ``train.csv``, ``valid.csv``, ``test.csv`` beside them.

    Class k has clicks where its first bit is set, a tone where its second is.
    """
    draw = np.random.default_rng(0)
    time = np.arange(int(SECONDS * 16000)) / 16000
    for part, count in zip(("train", "valid", "test"), cycles, strict=True):
        rows = []
        for number in range(count):
            kind = number % len(labels)
            sound = 0.02 * draw.normal(size=time.size)
            if kind & 1:
                sound[draw.integers(0, time.size, 40)] += 0.8
            if kind & 2:
                sound += 0.3 * np.sin(2 * np.pi * 400 * time)
            name = f"{part}{number:03d}"
            soundfile.write(folder / f"{name}.wav", sound.clip(-1, 1), 16000)
            times = {"duration": SECONDS, "wav": f"{{data_root}}/{name}.wav", "start": 0.0, "stop": SECONDS}
            rows.append({"ID": name, **times, "label": labels[kind], "patient": f"{part}{number % 4}"})
        write_manifest(folder / f"{part}.csv", rows)
    return folder


def toy_arguments(data, output, *flags, **changes):
    """Return the recipe's arguments for the toy data and an encoder of two small stages, on 64 frames a cycle.

    ``flags`` are put after them; ``changes`` are settings by key.
    """
    settings = {
        "data_folder": data,
        "output_folder": output,
        "feature_folder": data / "features",
        "skip_prep": True,
        **{f"{part}_csv": data / f"{part}.csv" for part in ("train", "valid", "test")},
        "pretrained": "null",
        "frames": 64,
        "depths": "[1,2]",
        "dims": "[8,16]",
        "gaussian_stage": 1,
        "gaussian_blocks": "[0,1]",
        "batch_size": 4,
        "number_of_epochs": 3,
        "lr": 0.003,
        **changes,
    }
    pairs = [argument for key, value in settings.items() for argument in (f"--{key}", str(value))]
    return [str(HPARAMS / "lung_srad.yaml"), *pairs, *flags]
