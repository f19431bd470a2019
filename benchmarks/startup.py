"""Time from the start of Python to the first prediction, each in a separate process.

    python benchmarks/startup.py

A nano model of random weights is exported and a recording of 8 s written. Every figure is a median of processes taken
in turns, but for the first prediction on a machine, which compiles the scan into an empty folder: that is timed once.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from measuring import time_in_turns
from memory import ENCODERS, make_model, write_noise

CLASSIFY = "from lung_srad_plugin import LungSoundClassifier as C; C.from_hparams(source={!r}).classify_file({!r})"


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="processes of each (default %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_noise(folder / "breath.wav", 8, 16000, 1)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            model = str(pool.submit(make_model, folder, ENCODERS["nano"]).result())
        recording = str(folder / "breath.wav")
        program = str(Path(sys.executable).parent / "lung-srad")
        ways = {
            "import torch": ["-c", "import torch"],
            "import speechbrain": ["-c", "import speechbrain"],
            "import lung_srad_plugin": ["-c", "import lung_srad_plugin"],
            "import, load, predict": ["-c", CLASSIFY.format(model, recording)],
            "lung-srad --help": [program, "--help"],
            "lung-srad classify": [program, "classify", recording, "--model", model],
        }
        began = time.perf_counter()
        run(ways["import, load, predict"], NUMBA_CACHE_DIR=folder / "empty")
        print(f"{'the same, compiling first':>26} {time.perf_counter() - began:6.2f} s")
        times = time_in_turns([lambda way=way: run(way) for way in ways.values()], arguments.repeats)
    for name, seconds in zip(ways, times, strict=True):
        print(f"{name:>26} {seconds:6.2f} s")


def run(arguments, **environment):
    """Run Python with these arguments to the end."""
    environment = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)


if __name__ == "__main__":
    main()
