"""Requests a second of lung-srad serve with many clients, beside the classifier alone; and whether memory grows.

    python benchmarks/serving.py --clients 8 --seconds 60

The server is a process of its own, as users run it. Each client sends one recording after the other. The floor is the
classifier alone in this process, one recording after the other, half of the time before and half after. Linux only.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

from lung_srad_plugin import LungSoundClassifier

SERVE = "from lung_srad_plugin.cli.main import main; main()"
TIMEOUT = 120.0


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="starter", help="model folder (default %(default)s)")
    parser.add_argument("--clients", type=int, default=8, help="at once (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of load (default %(default)s)")
    parser.add_argument("--length", type=float, default=15.0, help="seconds of a recording (default %(default)s)")
    arguments = parser.parse_args()
    # Imports torch, after lung_srad_plugin has let its idle threads sleep, as they do in the server.
    from memory import write_noise

    with tempfile.TemporaryDirectory() as folder:
        recordings = [Path(folder) / f"{number}.wav" for number in range(arguments.clients)]
        for recording in recordings:
            write_noise(recording, arguments.length, 4000, 1)
        measure(arguments, recordings)


def measure(arguments, recordings):
    """Print what the service does with these recordings, one for each client."""
    classifier = LungSoundClassifier.from_hparams(source=arguments.model)
    classifier.classify_file(recordings[0])
    share = arguments.seconds / 8
    floor = time_alone(classifier, recordings, share)
    command = [sys.executable, "-c", SERVE, "serve", arguments.model, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().split()[1]
        load = Load(address, recordings)
        load.run(share)  # what is only needed once is there now
        load.seconds.clear()
        files, memory = open_files(server.pid), [resident_megabytes(server.pid)]
        for _ in range(4):
            load.run(arguments.seconds / 4)
            memory.append(resident_megabytes(server.pid))
        files_after = open_files(server.pid)
    finally:
        server.terminate()
        server.wait()
    floor += time_alone(classifier, recordings, share)
    print_rows(arguments, load, floor, memory, (files, files_after))


def print_rows(arguments, load, floor, memory, files):
    """Print the figures, a name and a value a line."""
    ordered = sorted(load.seconds)
    each = arguments.seconds / len(ordered)
    alone = statistics.mean(floor)
    rows = {
        "clients": arguments.clients,
        "requests": len(ordered),
        "errors": load.errors,
        "requests a second": f"{1 / each:.2f}",
        "classifier alone, a second": f"{1 / alone:.2f}",
        "service / alone": f"{alone / each:.2f}",
        "latency, median": f"{statistics.median(ordered):.2f} s",
        "latency, 95 of 100": f"{ordered[int(0.95 * (len(ordered) - 1))]:.2f} s",
        "latency, longest": f"{ordered[-1]:.2f} s",
        "memory of the server": f"{', '.join(f'{value:.0f}' for value in memory)} MB",
        "open files before, after": f"{files[0]}, {files[1]}",
    }
    for name, value in rows.items():
        print(f"{name:>28} {value}")


class Load:
    """Clients that send recordings to a service for a while.

    Attributes
    ----------
    seconds : list of float
        From request to answer.
    errors : int
        Answers that were none.
    """

    def __init__(self, address, recordings):
        self.address = address
        self.recordings = recordings
        self.seconds = []
        self.errors = 0

    def run(self, seconds):
        """Let all clients work until the time is over."""
        end = time.perf_counter() + seconds
        threads = [threading.Thread(target=self._client, args=(recording, end)) for recording in self.recordings]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, recording, end):
        content = recording.read_bytes()
        with httpx.Client(base_url=self.address, timeout=TIMEOUT, trust_env=False) as client:
            while time.perf_counter() < end:
                began = time.perf_counter()
                try:
                    answer = client.post("/api/classify", files={"file": (recording.name, content)})
                    self.errors += answer.status_code != 200
                except httpx.HTTPError:
                    self.errors += 1
                self.seconds.append(time.perf_counter() - began)


def time_alone(classifier, recordings, seconds):
    """Return the seconds of each classification that the classifier alone does in some time."""
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or not found:
        began = time.perf_counter()
        classifier.classify_file(recordings[len(found) % len(recordings)])
        found.append(time.perf_counter() - began)
    return found


def resident_megabytes(process):
    """Return the resident memory of a process in 1e6 bytes."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1e6


def open_files(process):
    """Return how many files and connections a process has open."""
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


if __name__ == "__main__":
    main()
