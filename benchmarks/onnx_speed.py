"""Time of one clip through torch and through the exported ONNX file, side by side.

    python benchmarks/onnx_speed.py MODEL --threads 2

MODEL is a folder that ``lung-srad export --onnx`` wrote.
"""

import argparse
from pathlib import Path

import onnxruntime
import torch
from measuring import time_in_turns

from lung_srad_plugin.inference.classifier import LungSoundClassifier


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(arguments.model / "model.onnx", options)
    model = LungSoundClassifier.from_hparams(source=arguments.model, run_opts={"device": "cpu"})
    for batch in (1, 4):
        clips = 0.1 * torch.randn(batch, round(model.window * model.sample_rate))
        ways = {
            "torch": lambda clips=clips: model.classify_batch(clips),
            "onnxruntime": lambda clips=clips: session.run(["log_probs"], {"waveforms": clips.numpy()}),
        }
        times = dict(zip(ways, time_in_turns(ways.values(), arguments.repeats), strict=True))
        ratio = times["onnxruntime"] / times["torch"]
        shown = ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in times.items())
        print(f"batch {batch}: {shown}, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
