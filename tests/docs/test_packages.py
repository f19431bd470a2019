"""Wheel and sdist hold what is needed away from a clone: experiments, grids, commands and the starter model."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from lung_srad_plugin.datasets.synthetic.folder import synthesize_icbhi

ROOT = Path(__file__).parents[2]
SOURCES = ("lung_srad_plugin", "hparams", "recipes", "benchmarks", "docs", "tests")
BUILT_HERE = shutil.ignore_patterns("__pycache__", "*.egg-info", "site")


def run(*command, folder):
    """Run a command in a folder without seeing this source tree; return code and output."""
    hidden = ("PYTHONPATH", "LUNG_SRAD_MODEL")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist; the wheel is made from the sdist, so that this holds everything."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=BUILT_HERE)
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, source)
    code, output = run(
        sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", source, folder=folder
    )
    assert code == 0, output[-3000:]
    (wheel,), (sdist,) = (list((folder / "dist").glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    return wheel, sdist


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The commands of an environment that holds the wheel, and sees the packages of this one."""
    folder = tmp_path_factory.mktemp("environment")
    code, output = run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", folder=folder)
    assert code == 0, output
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    code, output = run(
        *(sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--quiet", "--no-deps", built[0]),
        folder=folder,
    )
    assert code == 0, output
    _, output = run(scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder)
    # Lines of a .pth add folders only: an editable install of the package there is not seen.
    seen = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(output.strip()) / "seen.pth").write_text("\n".join(seen) + "\n", encoding="utf-8")
    return scripts


def test_both_pass_twine_check(built):
    pytest.importorskip("twine")
    code, output = run(sys.executable, "-m", "twine", "check", "--strict", *built, folder=built[0].parent)
    assert code == 0, output


def test_wheel_holds_every_experiment_and_the_starter_model(built):
    names = set(zipfile.ZipFile(built[0]).namelist())
    hparams = {f"lung_srad_plugin/hparams/{path.name}" for path in (ROOT / "hparams").glob("*.yaml")}
    assert len(hparams) > 10 and hparams <= names
    package = ROOT / "lung_srad_plugin"
    files = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "lung_srad_plugin/inference/starter/embedding_model.ckpt" in files
    assert files <= names
    assert not [name for name in names if name.startswith(("tests/", "recipes/", "docs/"))]


def test_sdist_holds_recipes_and_tests(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = ("recipes/ICBHI/train.py", "hparams/lung_srad.yaml", "tests/conftest.py", "Makefile", "CHANGELOG.md")
    assert set(expected) <= names


def test_installed_package_is_the_one_of_the_wheel(installed, tmp_path):
    code, output = run(
        installed / "python",
        "-c",
        "import lung_srad_plugin as p; from lung_srad_plugin.runs.named_files import hparams_folder as f; "
        "print(p.__file__, f(), sep='\\n')",
        folder=tmp_path,
    )
    assert code == 0, output
    module, hparams = map(Path, output.splitlines())
    assert module.is_relative_to(installed.parent)
    assert hparams == module.parent / "hparams"


# One process for all commands: it starts once.
COMMANDS = """
import sys
from lung_srad_plugin.cli.main import main
for words in sys.argv[1:]:
    try:
        main(words.split())
    except SystemExit as end:
        print("exit code", end.code, flush=True)
"""


def test_training_and_ablation_find_their_files_away_from_a_clone(installed, tmp_path):
    # The data are asked for only after the experiment, what it builds on and the overrides were read.
    commands = [
        "train lung_srad --lr 0.001",
        "train hparams/lung_srad.yaml --lr 0.001",
        "train hparams/nothing.yaml",
        "ablate ablation --output results --data_folder absent --pretrained null --number_of_epoch 1",
    ]
    code, output = run(installed / "python", "-c", COMMANDS, *commands, folder=tmp_path)
    assert code == 0, output
    assert output.count("exit code 2") == len(commands)
    assert output.count("the folder of recordings is not given; add --data_folder") == 2
    assert output.count(str(Path("lung_srad_plugin", "hparams", "lung_srad.yaml"))) >= 3
    assert output.count("no such hyperparameter file") == 1
    # All rows were found, and what they build on: the override is refused against the base of one.
    assert "lung_srad.yaml has no key number_of_epoch (did you mean number_of_epochs?)" in " ".join(output.split())
    assert not list(tmp_path.iterdir())


def test_recording_is_classified_away_from_a_clone(installed, tmp_path):
    synthesize_icbhi(tmp_path / "sounds", patients=5, recordings=1, progress=False)
    recording = sorted((tmp_path / "sounds").rglob("*.wav"))[0]
    (tmp_path / "here").mkdir()
    code, output = run(installed / "lung-srad", "classify", recording, "--format", "csv", folder=tmp_path / "here")
    assert code == 0, output
    assert any(line.startswith(str(recording.name)) or "abnormal" in line for line in output.splitlines())
    assert not list((tmp_path / "here").iterdir())
