"""Screening on two nodes: results as of classify, lost workers and nodes, a killed driver, bad files apart."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from filelock import FileLock

from lung_srad_plugin.cli.main import main
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.screening import command
from lung_srad_plugin.screening.command import ScreenOptions, screen
from lung_srad_plugin.screening.engine import EngineOptions, require_ray
from lung_srad_plugin.screening.worker import RecordingWorker, ScreenSettings

ray = pytest.importorskip("ray", reason="needs the extra screen")
pq = pytest.importorskip("pyarrow.parquet", reason="needs the extra screen")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Ray's cluster utility does not run on Windows")

STORE = 100 * 2**20  # bytes of each node
RATE = 4000
COMMAND = [sys.executable, "-c", "from lung_srad_plugin.cli.main import main; main()", "screen"]


@pytest.fixture(scope="module")
def cluster():
    """A head with 3 CPUs and a node with 2; one such cluster at a time on this machine, however many processes test."""
    require_ray()
    from ray.cluster_utils import Cluster

    with FileLock(Path(tempfile.gettempdir()) / "lung-srad-ray-tests.lock"):
        head = {"num_cpus": 3, "object_store_memory": STORE, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            cluster.add_node(num_cpus=2, object_store_memory=STORE)
            ray.init(cluster.address, log_to_driver=False, logging_level="CRITICAL")
            ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


def write_sounds(folder, names, seconds=3.6):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        random = np.random.default_rng(len(name) + 1000 * sum(name.encode()))
        samples = np.sin(np.arange(int(seconds * RATE)) * random.uniform(0.1, 1)) * random.uniform(0.05, 0.5)
        soundfile.write(folder / name, samples + random.normal(0, 0.05, len(samples)), RATE)
    return folder


def run(source, destination, progress=lambda done, total: None, actors=2, **changes):
    engine = EngineOptions(actors=actors)
    options = ScreenOptions(engine=engine, part_seconds=0, **changes)
    return screen(str(source), str(destination), None, options, lambda classifier: None, progress)


def table(destination, name):
    files = sorted((destination / name).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def check_against_classify(destination, files, capsys):
    """Compare the rows with what the command classify prints for the same files."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["classify", *map(str, files), "--format", "csv"])
    assert end.value.code == 0
    expected = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    rows = sorted(table(destination, "rows"), key=lambda row: (row["file"], row["start"]))
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, sorted(expected, key=lambda row: (row["file"], float(row["start"]))), strict=True):
        for name, text in wanted.items():
            if isinstance(row[name], float):
                assert row[name] == pytest.approx(float(text), abs=1e-5), (row["file"], row["start"], name)
            else:
                assert str("" if row[name] is None else row[name]) == text, (row["file"], row["start"], name)


class MortalWorker(RecordingWorker):
    """Dies at a recording named "poison.wav"."""

    def classify(self, content, name):
        if name.endswith("poison.wav"):
            with open(f"{name}.deaths", "a", encoding="utf-8") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().classify(content, name)


def test_a_list_on_two_nodes_with_deaths_and_bad_files(cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "RecordingWorker", MortalWorker)
    names = [*(f"{index}.wav" for index in range(9)), "a #1?% ü.wav"]
    folder = write_sounds(tmp_path / "sounds", [*names, "poison.wav"])
    (folder / "text.wav").write_text("no sound", encoding="utf-8")
    (folder / "sub").mkdir()
    listed = [*names[:3], *(str(folder / name) for name in names[3:]), "poison.wav", "text.wav", "absent.wav", "sub"]
    with open(folder / "list.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["patient", "recording"], *([7, name] for name in [*listed, names[0]])])
    calls = []
    result = run(folder / "list.csv", tmp_path / "out", lambda *call: calls.append(call), path_column="recording")
    assert (result.found, result.done_before) == (14, 0)
    assert (result.counts["recordings"], result.counts["bad"]) == (10, 4)
    assert calls[0] == (0, 14) and calls[-1] == (14, 14)
    check_against_classify(tmp_path / "out", [folder / name for name in names], capsys)
    reasons = {Path(row["file"]).name: row["reason"] for row in table(tmp_path / "out", "bad")}
    assert "cannot be read as audio" in reasons["text.wav"]
    assert "2 workers ended" in reasons["poison.wav"]
    assert "No such file" in reasons["absent.wav"] and "directory" in reasons["sub"]
    assert (folder / "poison.wav.deaths").read_text() == "xx"
    recordings = {Path(row["file"]).name: row for row in table(tmp_path / "out", "recordings")}
    assert sorted(recordings) == sorted(names)
    assert {(row["duration"], row["sample_rate"], row["segments"]) for row in recordings.values()} == {(3.6, RATE, 5)}


class SlowWorker(RecordingWorker):
    """Notes on which node it starts, and takes its time."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self._first = True

    def classify(self, content, name):
        if self._first:
            with open(Path(name).parent / "nodes.txt", "a", encoding="utf-8") as file:
                file.write(f"{ray.get_runtime_context().get_node_id()}\n")
        self._first = False
        time.sleep(0.1)
        return super().classify(content, name)


def test_a_node_is_lost_on_the_way(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "RecordingWorker", SlowWorker)
    monkeypatch.setattr("lung_srad_plugin.screening.engine.FILES_OF_A_READER", 4)
    (node,) = cluster.worker_nodes or [cluster.add_node(num_cpus=2, object_store_memory=STORE)]
    names = [f"{index}.wav" for index in range(24)]
    folder = write_sounds(tmp_path / "sounds", names)
    lost = []

    def lose(done, total):
        nodes = (folder / "nodes.txt").read_text().split() if (folder / "nodes.txt").exists() else []
        if node.node_id in nodes and not lost:
            lost.append(done)
            cluster.remove_node(node, allow_graceful=False)

    result = run(folder, tmp_path / "out", lose)
    assert lost and lost[0] < len(names)
    assert (result.counts["recordings"], result.counts["bad"]) == (24, 0)
    rows = table(tmp_path / "out", "rows")
    assert len({(row["file"], row["start"]) for row in rows}) == len(rows) == 24 * 5
    assert {Path(row["file"]).name for row in table(tmp_path / "out", "recordings")} == set(names)
    assert (folder / "nodes.txt").read_text().split()[-1] != node.node_id


def test_a_killed_driver_is_gone_on_with(cluster, tmp_path, capsys):
    names = [f"{index}.wav" for index in range(40)]
    folder, out = write_sounds(tmp_path / "sounds", names), tmp_path / "out"
    arguments = [folder, out, "--actors", "1", "--part-seconds", "0", "--object-store-mb", "100"]
    with subprocess.Popen([*COMMAND, *map(str, arguments)], stderr=subprocess.PIPE, text=True) as driver:
        limit = time.monotonic() + 300
        while not (out / "recordings" / "part-000001.parquet").exists() and time.monotonic() < limit:
            time.sleep(0.01)
            assert driver.poll() is None, driver.stderr.read()
        driver.kill()
    finished = table(out, "recordings")
    assert 0 < len(finished) < 40
    # What a run leaves that is killed between two files of a part.
    shutil.copy(out / "rows" / "part-000001.parquet", out / "rows" / "part-000099.parquet")
    result = run(folder, out, actors=1)
    assert (result.found, result.done_before, result.counts["recordings"]) == (40, len(finished), 40 - len(finished))
    assert len(table(out, "recordings")) == 40
    check_against_classify(out, [folder / name for name in names], capsys)
    again = run(folder, out)
    assert (again.done_before, again.counts["recordings"]) == (40, 0)
    with pytest.raises(LungSRADError, match=r"hop was 0\.5 and is now 1\.0.*another destination"):
        run(folder, out, settings=ScreenSettings(hop=1.0))
