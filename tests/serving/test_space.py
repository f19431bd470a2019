"""The folder for Spaces: its card, its requirements, and that it answers with nothing but itself."""

import os
import re
import runpy
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from huggingface_hub import SpaceCard
from packaging.requirements import Requirement
from packaging.version import Version
from uploads import recording

from lung_srad_plugin.cli import main as cli
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_folder import read_config
from lung_srad_plugin.inference import loading
from lung_srad_plugin.serving import space
from lung_srad_plugin.serving.space import CPU_INDEX, export_space, requirement_lines

ROOT = Path(__file__).parents[2]
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}  # as the hub documents them


def setup_arguments(monkeypatch):
    """What setup.py passes to setuptools."""
    import setuptools

    arguments = {}
    monkeypatch.setattr(setuptools, "setup", arguments.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return arguments


@pytest.fixture(autouse=True)
def metadata(monkeypatch):
    """The requirements of this source tree, where an older version of it is installed."""
    arguments = setup_arguments(monkeypatch)
    lines = [*arguments["install_requires"]]
    for extra, names in arguments["extras_require"].items():
        lines += [f'{name}; extra == "{extra}"' for name in names]
    monkeypatch.setattr(space, "requires", lambda _: lines)
    return arguments


@pytest.fixture
def folder(model_folder, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", str(model_folder), "--export", str(tmp_path / "space")])
    assert not ended.value.code and capsys.readouterr().out == f"{tmp_path / 'space'}\n"
    return tmp_path / "space"


def test_the_card_is_what_spaces_expects(folder, metadata):
    data = SpaceCard.load(folder / "README.md").data
    assert (data.sdk, data.app_file, data.license, data.pinned) == ("gradio", "app.py", "apache-2.0", False)
    assert re.fullmatch(r"6\.\d+\.\d+", data.sdk_version) and re.fullmatch(r"3\.\d+", data.python_version)
    assert {data.colorFrom, data.colorTo} <= COLOURS and len(data.short_description) <= 60
    assert (folder / data.app_file).is_file() and data.models is None
    assert "not a medical device" in (folder / "README.md").read_text(encoding="utf-8")


def test_requirements_are_those_of_the_package_with_torch_for_a_cpu(folder, metadata):
    first, *lines = (folder / "requirements.txt").read_text().splitlines()
    assert first == f"--extra-index-url {CPU_INDEX}"
    names = [Requirement(line).name for line in lines]
    assert {"torch", "torchaudio", "gradio", "fastapi"} <= set(names)
    for line, name, named in zip(
        lines, names, metadata["install_requires"] + metadata["extras_require"]["serve"], strict=True
    ):
        # Those two are as they load together here, without the mark of CUDA or a CPU.
        pair = name in ("torch", "torchaudio")
        assert line == (f"{name}=={Version(version(name)).public}" if pair else named)
        assert not pair or Requirement(line).specifier.contains(version(name))


@pytest.mark.skipif(os.name == "nt", reason="needs signals as on POSIX")
def test_it_answers_with_nothing_but_its_own_package_and_model(folder, model_folder, tmp_path):
    version = folder / "lung_srad_plugin" / "version.py"
    version.write_text(re.sub(r'"[^"]+"$', '"9.8.7"', version.read_text().rstrip()) + "\n")
    hidden = ("PYTHONPATH", "LUNG_SRAD_MODEL")
    environment = {key: value for key, value in os.environ.items() if key not in hidden} | {"PORT": "0"}
    process = subprocess.Popen(
        [sys.executable, folder / "app.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        port = re.match(r"Lung-SRAD: http://0\.0\.0\.0:(\d+) ", process.stdout.readline())[1]
        address = f"http://127.0.0.1:{port}"
        health = httpx.get(f"{address}/api/health").json()
        assert (health["version"], health["model"]) == ("9.8.7", read_config(model_folder).model)
        files = {"file": ("breath.wav", recording())}
        assert httpx.post(f"{address}/api/classify", files=files, timeout=60).json()["file"] == "breath.wav"
    finally:
        process.kill()
        process.communicate()
    found = {path.name for path in folder.iterdir()}
    assert found == {"README.md", "app.py", "lung_srad_plugin", "model", "requirements.txt"}
    assert not (folder / "lung_srad_plugin" / "inference" / "starter").exists()


def test_the_starter_model_comes_with_the_package(tmp_path):
    folder = export_space(tmp_path / "space")
    assert (folder / "lung_srad_plugin" / "inference" / "starter" / "config.json").is_file()
    assert '"starter"' in (folder / "app.py").read_text() and not (folder / "model").exists()
    assert not list(folder.rglob("__pycache__"))


def test_a_model_of_the_hub_is_named_in_the_card(tmp_path, model_folder, monkeypatch):
    monkeypatch.setattr(loading, "_fetch_model", lambda *_: model_folder)
    folder = export_space(tmp_path / "space", "hf://owner/name")
    assert SpaceCard.load(folder / "README.md").data.models == ["owner/name"]
    assert (folder / "model" / "config.json").is_file()


@pytest.mark.parametrize("occupied", [True, False])
def test_what_is_there_is_not_overwritten(tmp_path, model_folder, occupied):
    (tmp_path / "space").mkdir()
    if occupied:
        (tmp_path / "space" / "mine.txt").write_text("mine")
        with pytest.raises(LungSRADError, match="space: already there"):
            export_space(tmp_path / "space", str(model_folder))
        assert [path.name for path in (tmp_path / "space").iterdir()] == ["mine.txt"]
    else:
        assert (export_space(tmp_path / "space", str(model_folder)) / "app.py").is_file()


def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path, model_folder, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(space.SpaceCard, "__init__", fail)
    for name in ("absent", "empty"):
        with pytest.raises(LungSRADError, match=f"{name}: cannot be written .No space left on device"):
            export_space(tmp_path / name, str(model_folder))
    assert [path.name for path in tmp_path.iterdir() if path != model_folder] == ["empty"]
    assert not list((tmp_path / "empty").iterdir())


def test_requirements_keep_their_marks(monkeypatch):
    lines = ['a<2; python_version < "3.12"', 'b; extra == "test"', 'gradio>=6; extra == "serve"', "c",
             'd; sys_platform != "win32" and extra == "serve"']  # fmt: skip
    monkeypatch.setattr(space, "requires", lambda _: lines)
    expected = ['a<2; python_version < "3.12"', "gradio>=6", "c", 'd; sys_platform != "win32"']
    assert requirement_lines()[1:] == expected


def test_an_installation_that_does_not_name_the_extra_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(space, "requires", lambda _: ["torch==2.11.*"])
    with pytest.raises(LungSRADError, match=r"\[serve\]"):
        requirement_lines()
    with pytest.raises(LungSRADError):
        export_space(tmp_path / "space")
    assert not (tmp_path / "space").exists()


def test_a_model_that_is_not_there_leaves_no_folder(tmp_path):
    with pytest.raises(LungSRADError):
        export_space(tmp_path / "space", "./no/such/model")
    assert not (tmp_path / "space").exists()
