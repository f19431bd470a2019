"""How often a model marks recordings as unlike its training sounds: generated sounds that are none, and folders.

    python benchmarks/unlike_sounds.py starter --folder SPRSOUND/test_wav --folder ICBHI/test

prints a Markdown table. Generated are the sounds of ``datasets/synthetic/other_sounds.py``, 20 of each kind and 16 s.
"""

import argparse
from pathlib import Path

import numpy as np
from rich.progress import track

from lung_srad_plugin.datasets.synthetic.other_sounds import OTHER_SOUNDS, make_other_sound
from lung_srad_plugin.inference.classifier import LungSoundClassifier

RATE, SECONDS, COUNT = 8000, 16.0, 20


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--folder", type=Path, action="append", default=[], help="folder of wav or flac recordings")
    arguments = parser.parse_args()
    model = LungSoundClassifier.from_hparams(source=arguments.model)
    print("| sounds | recordings flagged | windows flagged |")
    print("|---|---|---|")
    for kind in OTHER_SOUNDS:
        sounds = [make_other_sound(kind, SECONDS, RATE, np.random.default_rng(number)) for number in range(COUNT)]
        print_row(kind, [model.classify_file(sound, sample_rate=RATE) for sound in sounds])
    for folder in arguments.folder:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".wav", ".flac"))
        print_row(str(folder), [model.classify_file(path) for path in track(paths, description=folder.name)])


def print_row(name, results):
    """Print how many of the results, and of their windows, are flagged."""
    recordings = [result.summary.unlike_training for result in results]
    windows = [segment.unlike_training for result in results for segment in result.segments]
    share = f"{100 * np.mean(windows):.1f} % of {len(windows)}"
    print(f"| {name} | {sum(recordings)} of {len(recordings)} | {share} |", flush=True)


if __name__ == "__main__":
    main()
