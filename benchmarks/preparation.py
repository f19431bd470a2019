"""Time from recordings to features: once, from the cache, and as it would be without one.

    python benchmarks/preparation.py
    python benchmarks/preparation.py --data_folder ICBHI --recordings 60

Figures are milliseconds for each cycle of 8 s: medians over the recordings for the steps of the front end, over
batches for reading back and SpecAugment. Without ``--data_folder`` the recordings are synthetic.
"""

import argparse
import statistics
import tempfile
import time
from itertools import groupby, pairwise
from pathlib import Path

import torch
from measuring import time_in_turns

from lung_srad_plugin import CycleFeatures, FeatureCache, SpecAugment, load_recording, prepare_icbhi, read_manifest
from lung_srad_plugin.datasets.synthetic.folder import synthesize_icbhi

BATCH = 16


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_folder", type=Path, help="ICBHI 2017 or a folder like it")
    parser.add_argument("--recordings", type=int, default=40, help="how many to take (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="runs over the cached features (default %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        data = arguments.data_folder or folder / "data"
        if arguments.data_folder is None:
            synthesize_icbhi(data, patients=12, progress=False)
        rows = read_rows(data, folder / "manifests", arguments.recordings)
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {len(rows)} cycles")
        report(front_end(rows))
        cached = FeatureCache(folder / "features", CycleFeatures())
        began = time.perf_counter()
        cached.fill(rows, progressbar=False)
        once = (time.perf_counter() - began) / len(rows)
        report({"all of it, each recording decoded once, and kept": once})
        report(every_epoch(rows, cached, arguments.repeats))


def read_rows(data_folder, manifests, recordings):
    """Rows of the training manifest: all cycles of its first recordings."""
    prepare_icbhi(data_folder, manifests, quiet=True)
    rows = read_manifest(manifests / "train.csv", data_folder)
    wanted = sorted({row["wav"] for row in rows})[:recordings]
    return [row for row in rows if row["wav"] in wanted]


def front_end(rows):
    """Seconds for each cycle, by step of the front end."""
    features = CycleFeatures()
    seconds = {"decode and resample": [], "cut and shape": [], "log-mel": []}
    for wav, cycles in groupby(sorted(rows, key=lambda row: row["wav"]), key=lambda row: row["wav"]):
        cycles = list(cycles)
        marks = [time.perf_counter()]
        recording = load_recording(wav)
        marks.append(time.perf_counter())
        recording = features.prepare(recording)
        clips = [features.cut(recording, row["start"], row["stop"]) for row in cycles]
        marks.append(time.perf_counter())
        features.fbank(torch.stack(clips))
        marks.append(time.perf_counter())
        for step, (start, stop) in zip(seconds.values(), pairwise(marks), strict=True):
            step.append((stop - start) / len(cycles))
    return {name: statistics.median(step) for name, step in seconds.items()}


def every_epoch(rows, cached, repeats):
    """Seconds for each cycle of what an epoch does: features from the cache or anew, and SpecAugment."""
    batch = rows[:BATCH]
    uncached = FeatureCache(None, CycleFeatures())
    feats = torch.stack([cached(row["wav"], row["start"], row["stop"]) for row in batch])
    augment = SpecAugment().train()
    jobs = {
        "an epoch: from the cache": lambda: [cached(row["wav"], row["start"], row["stop"]) for row in batch],
        "an epoch without the cache": lambda: [uncached(row["wav"], row["start"], row["stop"]) for row in batch],
        f"SpecAugment, {BATCH} at once": lambda: augment(feats),
        "SpecAugment, one by one": lambda: [augment(clip) for clip in feats.split(1)],
    }
    return {name: took / len(batch) for name, took in zip(jobs, time_in_turns(jobs.values(), repeats), strict=True)}


def report(seconds):
    """Print each figure in milliseconds."""
    for name, value in seconds.items():
        print(f"{name:>50} {1e3 * value:8.2f} ms/cycle")


if __name__ == "__main__":
    main()
