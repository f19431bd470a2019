"""Lay the recipe into a SpeechBrain checkout and run SpeechBrain's tests of it there.

    python upstream/lay_out.py SPEECHBRAIN
    python upstream/lay_out.py

Without a checkout the recipe runs in a folder of its own, with the installed SpeechBrain and generated recordings in
the place of SpeechBrain's samples: that is the row of ``tests/recipes/ICBHI.csv`` with its checks.
"""

import argparse
import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

FILES = Path(__file__).parent / "speechbrain"
TABLE = Path("tests/recipes/ICBHI.csv")
CONSISTENCY = ("test_recipe.py", "test_yaml.py", "test_docstrings.py")
RUN_RECIPE_TESTS = (
    "import sys; from tests.utils.recipe_tests import run_recipe_tests; "
    "sys.exit(not run_recipe_tests(filters_fields=['Dataset'], filters=[['ICBHI']]))"
)
RATE = 16000


def main(arguments: list[str]) -> int:
    """Lay out and test; return the exit code, 0 where all tests passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "checkout", nargs="?", type=Path, help="a checkout of SpeechBrain, which the files are copied to"
    )
    checkout = parser.parse_args(arguments).checkout
    if checkout is None:
        with tempfile.TemporaryDirectory() as folder:
            return test_alone(Path(folder))
    if not (checkout / "tests" / "utils" / "recipe_tests.py").is_file():
        print(f"{checkout}: not a checkout of SpeechBrain; it has no tests/utils/recipe_tests.py", file=sys.stderr)
        return 2
    return test_in_checkout(checkout)


def lay_out(root: Path) -> None:
    """Copy the files to their places below a folder."""
    shutil.copytree(FILES, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "ruff.toml"))


def test_in_checkout(checkout: Path) -> int:
    """Run SpeechBrain's consistency tests and its test of this recipe in a checkout."""
    lay_out(checkout)
    environment = {**os.environ, "PYTHONPATH": str(checkout.absolute())}
    tests = [f"tests/consistency/{name}" for name in CONSISTENCY]
    commands = ([sys.executable, "-m", "pytest", "-q", *tests], [sys.executable, "-c", RUN_RECIPE_TESTS])
    return max(subprocess.run(command, cwd=checkout, env=environment).returncode for command in commands)


def test_alone(root: Path) -> int:
    """Run the rows of the table with the installed SpeechBrain, and check the files they are to write."""
    lay_out(root)
    write_samples(root)
    failed = 0
    with open(root / TABLE, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            output = root / "output" / Path(row["Hparam_file"]).stem
            command = [sys.executable, row["Script_file"], row["Hparam_file"], *shlex.split(row["test_debug_flags"])]
            done = subprocess.run(
                [*command, "--device=cpu", f"--output_folder={output}"], cwd=root, capture_output=True, text=True
            )
            wanted = re.search(r"file_exists=\[(.*?)\]", row["test_debug_checks"]).group(1).split(",")
            missing = [name for name in wanted if not (output / name).exists()]
            reached = done.returncode == 0 and not missing and reaches(row["test_debug_checks"], output)
            failed += not reached
            print(f"{row['Hparam_file']}: exit code {done.returncode}, files missing: {', '.join(missing) or 'none'}")
            print(f"performance as the row asks: {'yes' if reached else 'no'}")
            print(done.stderr[-3000:] if done.returncode else (output / "train_log.txt").read_text(encoding="utf-8"))
    return int(failed > 0)


def reaches(checks: str, output: Path) -> bool:
    """Return whether a log has a value that is below what ``performance_check=[FILE, NAME, <VALUE, LINE]`` asks for.

    Arguments
    ---------
    checks : str
        A row's ``test_debug_checks``.
    output : Path
        The folder of the run; LINE is what the line of FILE has, such as ``epoch: 2``.
    """
    file, name, limit, line = re.search(r"performance_check=\[(.*?), (.*?), <(.*?), (.*?)\]", checks).groups()
    log = (output / file).read_text(encoding="utf-8")
    found = re.search(rf"^.*\b{line}\b.*\b{name}: ([\d.e+-]+)", log, re.MULTILINE)
    return found is not None and float(found[1]) < float(limit)


def write_samples(root: Path) -> None:
    """Write noise where the annotations of the samples expect recordings."""
    with open(root / "tests" / "samples" / "annotation" / "ICBHI.csv", encoding="utf-8", newline="") as file:
        seconds = {row["wav"].removeprefix("{data_root}/"): float(row["duration"]) for row in csv.DictReader(file)}
    folder = root / "tests" / "samples" / "single-mic"
    folder.mkdir(parents=True, exist_ok=True)
    for name, length in seconds.items():
        noise = np.random.default_rng(0).normal(0, 0.1, round(length * RATE))
        soundfile.write(folder / name, noise, RATE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
