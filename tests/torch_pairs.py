"""Run the tests with other versions of torch and torchaudio, each pair in an environment of its own of 5 GB.

    python tests/torch_pairs.py 2.7.1/2.7.1 2.15.0/2.11.1 --folder pairs
    python tests/torch_pairs.py 2.9.1/2.9.1 --folder pairs --workers 1 --tests tests/scan tests/nn

What setup.py admits is what passed here. The environments are kept and used again.
"""

import argparse
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = """
from importlib.metadata import requires
for line in requires("lung-srad"):
    requirement, _, marker = line.partition(";")
    if not marker or 'extra == "test"' in marker:
        print(requirement)
"""


def main():
    """Install and test each pair; print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", metavar="TORCH/TORCHAUDIO", help="such as 2.15.0/2.11.1")
    parser.add_argument("--folder", type=Path, default=Path("pairs"), help="of the environments (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes that test (default %(default)s)")
    parser.add_argument("--tests", nargs="+", default=[], help="folders or files of tests (default all)")
    arguments = parser.parse_args()
    if not all(re.fullmatch(r"[\d.]+/[\d.]+", pair) for pair in arguments.pairs):
        parser.error(f"a pair is TORCH/TORCHAUDIO, such as 2.15.0/2.11.1; got {' '.join(arguments.pairs)}")
    failed = False
    for pair in arguments.pairs:
        torch, torchaudio = pair.split("/")
        python = install(arguments.folder / torch, torch, torchaudio)
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(arguments.workers)]
        done = subprocess.run([*command, *arguments.tests], cwd=ROOT, capture_output=True, text=True)
        failed = failed or done.returncode != 0
        report = arguments.folder / f"{torch}.txt"
        report.write_text(done.stdout + done.stderr, encoding="utf-8")
        last = " ".join(done.stdout.strip().splitlines()[-1:])
        python_version = sys.version.split()[0]
        print(f"torch {torch}, torchaudio {torchaudio}, Python {python_version}: {last}; see {report}", flush=True)
    return int(failed)


def install(folder, torch, torchaudio):
    """Make an environment with the package, a pair of torch and torchaudio, and what the tests need; return Python.

    The requirements of the package are installed one by one, so that pairs beyond those that it admits can be tried.
    """
    python = folder.absolute() / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    pip = [python, "-m", "pip", "install", "-q"]
    subprocess.run([*pip, "--no-deps", "-e", ROOT], check=True)
    lines = subprocess.run([python, "-c", REQUIREMENTS], check=True, capture_output=True, text=True).stdout.split("\n")
    others = [line for line in map(str.strip, lines) if line and not re.match(r"torch(audio)?\b", line)]
    subprocess.run([*pip, f"torch=={torch}", f"torchaudio=={torchaudio}", *others], check=True)
    return python


if __name__ == "__main__":
    sys.exit(main())
