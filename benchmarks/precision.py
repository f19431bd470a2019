"""The change of a model's outputs in bf16, on the cycles of a manifest.

    python benchmarks/precision.py MODEL test.csv --data_root RECORDINGS

Prints how far the logits move (each cycle's, less their mean, as softmax does not see it), on how many cycles the
predicted class stays, and the scores at both precisions.
"""

import argparse
from pathlib import Path

import numpy as np

from lung_srad_plugin import LungSoundClassifier, icbhi_scores, read_manifest
from lung_srad_plugin.evaluation.predict import predict_rows


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a folder that a training run or `lung-srad export` wrote")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--data_root", type=Path, help="what {data_root} stands for in the manifest")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default %(default)s)")
    arguments = parser.parse_args()
    rows = read_manifest(arguments.manifest, arguments.data_root)
    logits, classes = {}, {}
    for precision in ("fp32", "bf16"):
        options = {"device": arguments.device, "precision": precision}
        table = predict_rows(LungSoundClassifier.from_hparams(source=arguments.model, run_opts=options), rows)
        logits[precision] = np.log(table.probabilities) - np.log(table.probabilities).mean(axis=1, keepdims=True)
        classes[precision] = table.probabilities.argmax(axis=1)
        scores = icbhi_scores(table.targets, classes[precision])
        print(f"{precision}: {scores}")
    error = np.abs(logits["bf16"] - logits["fp32"])
    spread = np.abs(logits["fp32"]).mean()
    same = classes["bf16"] == classes["fp32"]
    print(f"{len(rows)} cycles, same class on {same.sum()} ({100 * same.mean():.2f} %)")
    print(f"logits move by {error.mean():.4f} on average, at most {error.max():.4f}; their mean size is {spread:.3f}")


if __name__ == "__main__":
    main()
