"""What screening an archive costs: decoding, the model, Parquet, and Ray beside the bare loop.

    python benchmarks/screening.py
    python benchmarks/screening.py --model results/lung_srad/1/export --recordings 10

It writes recordings of noise and classifies them on one core: in a loop in this process, and by ``lung-srad screen``
with one worker. Steps are in CPU time, in which a busy machine shows little. The loop and the screening are in
wall-clock time and take turns; starting Ray and loading the model do not count, as each figure is the difference of
many recordings and few.
"""

import argparse
import io
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import torch

from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.predict import predict
from lung_srad_plugin.inference.recording import cut_recording, recording_clips
from lung_srad_plugin.screening import command
from lung_srad_plugin.screening.command import ScreenOptions, screen
from lung_srad_plugin.screening.engine import EngineOptions, ray_session
from lung_srad_plugin.screening.tables import Tables, answer_of
from lung_srad_plugin.screening.worker import RecordingWorker

MANY = 500  # recordings for what takes little time


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder; the starter if left out")
    parser.add_argument("--recordings", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rate", type=int, default=16000)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    classifier = LungSoundClassifier.from_hparams(source=arguments.model, run_opts={"device": "cpu"})
    print(f"{classifier.model_id}, recordings of {arguments.seconds:g} s at {arguments.rate} Hz")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        few = write_noise(folder / "few", max(1, arguments.recordings // 4), arguments)
        many = write_noise(folder / "many", arguments.recordings, arguments)
        measure_steps(classifier, sorted(many.iterdir()))
        measure_ray(classifier, few, many, arguments)


def write_noise(folder, recordings, arguments):
    """Write recordings of noise into a folder."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(recordings):
        samples = 0.05 * random.standard_normal(round(arguments.seconds * arguments.rate))
        soundfile.write(folder / f"{index:05d}.wav", samples, arguments.rate)
    return folder


def measure_steps(classifier, paths):
    """Print the CPU time of each step of a recording, on one core."""
    contents = [path.read_bytes() for path in paths]
    classifier.classify_file(contents[0])
    started = time.process_time()
    for content in contents:
        classifier.load_audio(io.BytesIO(content))
    decoding = (time.process_time() - started) / len(paths)
    started = time.process_time()
    results = [classifier.classify_file(content, name=str(path)) for content, path in zip(contents, paths, strict=True)]
    whole = (time.process_time() - started) / len(paths)
    rule = classifier.select_rule()
    clips = []
    for content in contents:
        cut = cut_recording(classifier, audio_source(content), None, rule)
        clips.append(list(recording_clips(classifier, cut)))
    started = time.process_time()
    for some in clips:
        list(predict(classifier, some, 2))
    model = (time.process_time() - started) / len(paths)
    tables = Tables.of_model(classifier.labels)
    repeated = (results * (MANY // len(results) + 1))[:MANY]
    started = time.process_time()
    answers = pa.concat_tables([tables.join([answer_of(result)]) for result in repeated])
    joining = (time.process_time() - started) / MANY
    file = io.BytesIO()
    started = time.process_time()
    for table in tables.split(answers):
        pq.write_table(table, file, compression="zstd")
    writing = (time.process_time() - started) / MANY
    stored = 0
    for table in tables.split(tables.join([answer_of(result) for result in results])):  # each once, as in an archive
        whole_file = io.BytesIO()
        pq.write_table(table, whole_file, compression="zstd")
        stored += len(whole_file.getvalue()) / len(results)
    rows = len(results[0].segments)
    print(f"decode and resample    {1000 * decoding:8.2f} ms of CPU a recording")
    print(f"classify, all of it    {1000 * whole:8.2f} ms")
    print(f"the model alone        {1000 * model:8.2f} ms, {len(clips[0])} windows")
    print(f"rows to Arrow          {1000 * joining:8.2f} ms, {rows} rows")
    print(f"Parquet                {1000 * writing:8.3f} ms, {stored:.0f} bytes")


class IdleWorker(RecordingWorker):
    """Gives the same result for every recording."""

    def classify(self, content, name):
        """Return the result of the first recording."""
        if not hasattr(self, "_result"):
            self._result = super().classify(content, name)
        return self._result


def measure_ray(classifier, few, many, arguments):
    """Print the wall-clock time of a recording in a loop and by Ray."""
    extra = len(list(many.iterdir())) - len(list(few.iterdir()))
    engine = EngineOptions(actors=1, object_store_mb=200)
    small = write_noise(few.parent / "small", MANY, argparse.Namespace(seconds=4.0, rate=4000))
    with ray_session(engine):

        def by_ray(source, worker):
            command.RecordingWorker = worker
            with tempfile.TemporaryDirectory() as folder:
                started = time.perf_counter()
                options = ScreenOptions(engine=engine)
                screen(str(source), folder, arguments.model, options, lambda model: None, lambda done, found: None)
                return time.perf_counter() - started

        def by_loop(source):
            started = time.perf_counter()
            for path in sorted(source.iterdir()):
                answer_of(classifier.classify_file(path.read_bytes(), name=str(path)))
            return time.perf_counter() - started

        loop, ray = [], []
        for _ in range(arguments.repeats):
            loop.append((by_loop(many) - by_loop(few)) / extra)
            ray.append((by_ray(many, RecordingWorker) - by_ray(few, RecordingWorker)) / extra)
        start = by_ray(few, IdleWorker)
        idle = (by_ray(small, IdleWorker) - start) / MANY
    print(f"a recording in a loop  {1000 * np.median(loop):8.1f} ms of wall clock")
    print(f"by screen, one worker  {1000 * np.median(ray):8.1f} ms, {np.median(ray) / np.median(loop):.2f} of it")
    print(f"by screen, no model    {1000 * idle:8.2f} ms; start of the workers {start:.1f} s")


if __name__ == "__main__":
    main()
