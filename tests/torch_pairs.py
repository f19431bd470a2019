"""Run the tests with other versions of torch and its torchaudio, each pair in an environment of its own of 5 GB.

    python tests/torch_pairs.py 2.8.0 2.11.0 --folder pairs
    python tests/torch_pairs.py 2.9.1 --folder pairs --tests tests/scan tests/nn

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
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="of torch, such as 2.11.0")
    parser.add_argument("--folder", type=Path, default=Path("pairs"), help="of the environments (default %(default)s)")
    parser.add_argument("--tests", nargs="+", default=[], help="folders or files of tests (default all)")
    arguments = parser.parse_args()
    failed = False
    for version in arguments.versions:
        python = install(arguments.folder / version, version)
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments.tests]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        failed = failed or done.returncode != 0
        report = arguments.folder / f"{version}.txt"
        report.write_text(done.stdout + done.stderr, encoding="utf-8")
        last = done.stdout.strip().splitlines()[-1:]
        print(f"torch {version}, Python {sys.version.split()[0]}: {' '.join(last)}; all of it in {report}", flush=True)
    return int(failed)


def install(folder, version):
    """Make an environment with the package, a pair of torch and torchaudio, and what the tests need; return Python."""
    python = folder.absolute() / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    pip = [python, "-m", "pip", "install", "-q"]
    subprocess.run([*pip, "--no-deps", "-e", ROOT], check=True)
    lines = subprocess.run([python, "-c", REQUIREMENTS], check=True, capture_output=True, text=True).stdout.split("\n")
    others = [line for line in map(str.strip, lines) if line and not re.match(r"torch(audio)?\b", line)]
    subprocess.run([*pip, f"torch=={version}", f"torchaudio=={version}", *others], check=True)
    return python


if __name__ == "__main__":
    sys.exit(main())
