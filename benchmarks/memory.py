"""Peak memory of classifying a long recording, beyond that of the loaded model.

    python benchmarks/memory.py --hours 2 --rate 44100
    python benchmarks/memory.py --encoder medium

It exports a model of random weights, writes a recording of noise, classifies it, and prints the growth of this process'
largest resident size (Linux: VmHWM) since the model was loaded. The limit that is kept is 300 MB.
"""

import argparse
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
import torch
from measuring import resident_peak_megabytes, restart_resident_peak

from lung_srad_plugin.export.export import export_checkpoint
from lung_srad_plugin.inference.classifier import LungSoundClassifier

ENCODERS = {
    "nano": {"depths": [1, 1, 4, 1], "dims": [16, 32, 64, 128]},
    "small": {"depths": [2, 2, 8, 2], "dims": [96, 192, 384, 768]},
    "medium": {"depths": [2, 2, 20, 2], "dims": [96, 192, 384, 768]},
}

RUN = """\
sample_rate: 16000
duration: 8.0
frames: 1024
labels: [normal, crackle, wheeze, both]
compute_features: !new:lung_srad_plugin.CycleFeatures
    duration: 8.0
    sample_rate: 16000
    frames: 1024
mean_var_norm: !new:lung_srad_plugin.FeatureNormalization
    kind: audioset
embedding_model: !new:lung_srad_plugin.DASSEncoder
    depths: {depths}
    dims: {dims}
classifier: !new:lung_srad_plugin.LogClassifier
    input_size: {width}
    classes: 4
"""


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--rate", type=int, default=44100, help="sample rate of the recording in Hz")
    parser.add_argument("--channels", type=int, default=2)
    parser.add_argument("--encoder", choices=ENCODERS, default="nano")
    parser.add_argument("--hop", type=float, default=4.0)
    parser.add_argument("--batch_size", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        recording = folder / "long.wav"
        write_noise(recording, arguments.hours * 3600, arguments.rate, arguments.channels)
        # In a separate process: the classification would reuse memory that the export has freed.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            exported = pool.submit(make_model, folder, ENCODERS[arguments.encoder]).result()
        model = LungSoundClassifier.from_hparams(source=exported, run_opts={"device": "cpu"})
        # The memory needed while the model is loaded does not count.
        restart_resident_peak()
        before, began = resident_peak_megabytes(), time.perf_counter()
        result = model.classify_file(recording, hop=arguments.hop, batch_size=arguments.batch_size)
        seconds = time.perf_counter() - began
    print(
        f"{arguments.encoder}, {arguments.hours:g} h of {arguments.channels} channels at {arguments.rate} Hz, hop "
        f"{arguments.hop:g} s, batch {arguments.batch_size}: {len(result.segments)} segments in {seconds:.0f} s; "
        f"loaded {before:.0f} MB, beyond that at most {resident_peak_megabytes() - before:.0f} MB"
    )


def write_noise(path, seconds, rate, channels):
    """Write noise with a slow rise and fall, a minute at a time."""
    random = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", rate, channels, "PCM_16") as file:
        for start in range(0, round(seconds * rate), 60 * rate):
            samples = min(60 * rate, round(seconds * rate) - start)
            loudness = 0.05 + 0.04 * np.sin(2 * np.pi * np.arange(samples) / (3 * rate))[:, None]
            file.write(loudness * random.standard_normal((samples, channels)))


def make_model(folder, sizes):
    """Export a model of random weights as a training run would."""
    from lung_srad_plugin import DASSEncoder, LogClassifier

    torch.manual_seed(0)
    run, checkpoint = folder / "run", folder / "run" / "checkpoint"
    checkpoint.mkdir(parents=True)
    (run / "hyperparams.yaml").write_text(RUN.format(width=sizes["dims"][-1], **sizes), encoding="utf-8")
    torch.save(DASSEncoder(**sizes).state_dict(), checkpoint / "embedding_model.ckpt")
    torch.save(LogClassifier(sizes["dims"][-1], classes=4).state_dict(), checkpoint / "classifier.ckpt")
    return export_checkpoint(run, checkpoint, folder / "model")


if __name__ == "__main__":
    main()
