"""Time training steps and inference alone, two programs at once, and beside another program, by how threads wait.

    python benchmarks/threads.py
    python benchmarks/threads.py --encoder medium --rounds 5

Two ways of waiting are compared. *spinning* is OpenMP's own, as it is where torch is loaded before lung_srad_plugin;
*sleeping* is what ``import lung_srad_plugin`` asks for. Each program is a process that computes with as many threads as
there are cores. The situations:

alone    one program
two      two programs of the same kind at once; the mean of both
beside   one program, and another that keeps one core busy without a pause

All processes stay loaded and take turns, round after round; every figure is a median over rounds of the median step
in each, so that a machine that is busy with other work slows all alike. The fastest step of all rounds shows what a way
of waiting costs where nothing disturbs it, even where the machine is never quiet for a whole round. A step that is
slowed down may take far longer than ``--seconds``; each round has at least one.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

ENCODERS = {
    "nano": {"depths": [1, 1, 4, 1], "dims": [16, 32, 64, 128]},
    "small": {"depths": [2, 2, 8, 2], "dims": [96, 192, 384, 768]},
    "medium": {"depths": [2, 2, 20, 2], "dims": [96, 192, 384, 768]},
}
WAYS = ("spinning", "sleeping")
TASKS = ("inference", "training")
SITUATIONS = ("alone", "two", "beside")
# What decides how threads wait and how many there are.
VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", choices=ENCODERS, default="nano", help="default %(default)s")
    parser.add_argument("--batch", type=int, default=4, help="clips a training step (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default %(default)g)")
    parser.add_argument("--rounds", type=int, default=5, help="default %(default)s")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each program (default %(default)s)")
    parser.add_argument("--worker", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve(arguments)
    else:
        compare(arguments)


def compare(arguments):
    """Start the programs, let them take turns, and print a row for each task and situation."""
    programs = {way: [start(way, arguments) for _ in range(2)] for way in WAYS}
    records = {(task, way, situation): [] for task in TASKS for way in WAYS for situation in SITUATIONS}
    for _ in range(arguments.rounds):
        for task, way, situation in records:
            used = programs[way] if situation == "two" else programs[way][:1]
            records[task, way, situation].append(measure(used, task, situation == "beside", arguments.seconds))
    for program in (program for pair in programs.values() for program in pair):
        program.stdin.close()
        program.wait()
    took = {key: statistics.median(median for median, _ in record) for key, record in records.items()}
    fastest = {key: min(least for _, least in record) for key, record in records.items()}
    print(
        f"{arguments.encoder}, {arguments.threads} threads a program, {os.cpu_count()} cores, {arguments.rounds} rounds"
    )
    print(f"{'':17} {'ms/step':>17} {'x alone':>17} {'fastest, ms':>17} {'sleeping /':>10}")
    print(f"{'task':9} {'':7} " + " ".join(f"{way:>8}" for way in WAYS * 3) + f" {'spinning':>10}")
    for task in TASKS:
        for situation in SITUATIONS:
            milliseconds = [1e3 * took[task, way, situation] for way in WAYS]
            ratios = [took[task, way, situation] / took[task, way, "alone"] for way in WAYS]
            least = [1e3 * fastest[task, way, situation] for way in WAYS]
            numbers = [f"{number:8.1f}" for number in milliseconds] + [f"{number:8.2f}" for number in ratios]
            numbers += [f"{number:8.1f}" for number in least] + [f"{milliseconds[1] / milliseconds[0]:10.3f}"]
            print(f"{task:9} {situation:7} " + " ".join(numbers))


def start(way, arguments):
    """Start a program and wait until it is ready."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(arguments.threads))
    options = ["--worker", way, "--encoder", arguments.encoder, "--batch", str(arguments.batch)]
    program = subprocess.Popen(
        [sys.executable, __file__, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    if program.stdout.readline() != "ready\n":
        raise SystemExit("a program did not start; its error is above")
    return program


def measure(programs, task, beside, seconds):
    """Return the median and the least seconds of a step, where these programs compute at once."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"])] if beside else []
    try:
        for program in programs:
            program.stdin.write(f"{task} {seconds}\n")
            program.stdin.flush()
        answers = [[float(number) for number in program.stdout.readline().split()] for program in programs]
        return statistics.mean(median for median, _ in answers), min(least for _, least in answers)
    finally:
        for program in busy:
            program.kill()
            program.wait()


def serve(arguments):
    """Be a program: answer each line "task seconds" with the median and the least seconds of its steps."""
    if arguments.worker == "spinning":
        import torch  # before the package, which then leaves OpenMP alone

    import lung_srad_plugin

    if arguments.worker == "sleeping":
        import torch

    torch.manual_seed(0)
    encoder = lung_srad_plugin.DASSEncoder(**ENCODERS[arguments.encoder])
    optimizer = torch.optim.Adam(encoder.parameters(), fused=True)
    clips = {"inference": torch.randn(1, 1024, 128), "training": torch.randn(arguments.batch, 1024, 128)}

    def training():
        encoder(clips["training"]).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    @torch.no_grad()
    def inference():
        encoder(clips["inference"])

    steps = {"inference": inference, "training": training}
    for step in steps.values():
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        task, seconds = line.split()
        record, end = [], time.perf_counter() + float(seconds)
        while not record or time.perf_counter() < end:
            began = time.perf_counter()
            steps[task]()
            record.append(time.perf_counter() - began)
        print(statistics.median(record), min(record), flush=True)


if __name__ == "__main__":
    main()
