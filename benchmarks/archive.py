"""Recordings in a second of ``lung-srad classify --output all.csv``, beside the model alone on clips that are ready.

    python benchmarks/archive.py --folder /data/sprsound/train_wav --cores 1

Without ``--folder``, recordings are made up: noise of 9 s at 8 kHz. The process keeps to the number of cores that is
asked for, the model's threads and those that decode together. All jobs take turns.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from lung_srad_plugin.archive.listing import RecordingList
from lung_srad_plugin.archive.run import classify_archive
from lung_srad_plugin.archive.settings import ArchiveSettings
from lung_srad_plugin.audio.endings import AUDIO_ENDINGS
from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.predict import predict
from lung_srad_plugin.inference.recording import cut_recording, recording_clips


def make_recordings(folder, count):
    """Write recordings of noise, as long and of the rate of SPRSound's."""
    for index in range(count):
        samples = np.random.default_rng(index).normal(0, 0.05, 9 * 8000)
        soundfile.write(folder / f"{index:03}.flac", samples, 8000)


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder; the starter model if left out")
    parser.add_argument("--folder", type=Path, help="recordings; made up if left out")
    parser.add_argument("--count", type=int, default=100, help="recordings, the first of the folder")
    parser.add_argument("--batch", type=int, nargs="+", default=[8])
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--decoding-threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # before the threads of OpenMP begin, which inherit it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    torch.set_num_threads(arguments.cores)
    classifier = LungSoundClassifier.from_hparams(source=arguments.model, run_opts={"device": "cpu"})
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "recordings"
        inputs.mkdir()
        if arguments.folder is None:
            make_recordings(inputs, arguments.count)
        else:
            for path in list(RecordingList([str(arguments.folder)], AUDIO_ENDINGS))[: arguments.count]:
                shutil.copy(path, inputs)
        measure(classifier, inputs, Path(folder), arguments)


def measure(classifier, inputs, folder, arguments):
    """Print a row for each batch size."""
    recordings = RecordingList([str(inputs)], AUDIO_ENDINGS)
    rule = classifier.select_rule()
    clips = [
        clip
        for path in recordings
        for clip in recording_clips(classifier, cut_recording(classifier, audio_source(path), None, rule))
    ]
    print(f"{classifier.model_id}, {len(recordings)} recordings, {len(clips)} clips, {arguments.cores} cores")
    print("batch  floor/s  archive/s  archive/floor  lowest  highest  one by one/floor")
    for batch in arguments.batch:
        settings = ArchiveSettings(batch_size=batch, decoding_threads=arguments.decoding_threads)
        tables = iter(range(10**6))

        def archive(settings=settings, tables=tables):
            output = folder / f"out{settings.batch_size}" / f"{next(tables)}.csv"
            report = classify_archive(classifier, recordings, [str(inputs)], output, settings, _fail)
            assert report.done == len(recordings)

        jobs = [
            lambda batch=batch: list(predict(classifier, clips, batch)),
            archive,
            lambda: [classifier.classify_file(path) for path in recordings],
        ]
        floor, ours, single = zip(*turns(jobs, arguments.repeats), strict=True)
        ratios = [alone / whole for alone, whole in zip(floor, ours, strict=True)]
        singles = [alone / whole for alone, whole in zip(floor, single, strict=True)]
        rates = [len(recordings) / statistics.median(seconds) for seconds in (floor, ours)]
        print(f"{batch:5}  {rates[0]:7.1f}  {rates[1]:9.1f}  {statistics.median(ratios):13.2f}  {min(ratios):6.2f}"
              f"  {max(ratios):7.2f}  {statistics.median(singles):16.2f}")  # fmt: skip


def turns(jobs, repeats):
    """Yield the seconds of each job in each turn, after one that is not counted: a ratio is of neighbours in time."""
    for repeat in range(repeats + 1):
        seconds = []
        for job in jobs:
            begun = time.perf_counter()
            job()
            seconds.append(time.perf_counter() - begun)
        if repeat:
            yield seconds


def _fail(error, path):
    raise AssertionError(f"{path}: {error}")


if __name__ == "__main__":
    main()
