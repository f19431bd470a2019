"""Pairs of torch and torchaudio that load, and the message where they do not."""

import os
import subprocess
import sys

import pytest

from lung_srad_plugin.utils import torch_pair

# As `import torchaudio` ended with the wheels of PyPI for Linux.
TRIED = [
    ("2.7.1", "2.7.1", True),
    ("2.10.0", "2.11.0", False),
    ("2.10.0", "2.11.1", False),
    ("2.11.0", "2.11.0", True),
    ("2.11.0", "2.11.1", False),
    ("2.12.0", "2.11.0", True),
    ("2.12.1", "2.11.0", True),
    ("2.12.1", "2.11.1", False),
    ("2.13.0", "2.11.0", True),
    ("2.13.0", "2.11.1", True),
    ("2.14.0", "2.11.0", True),
    ("2.14.0", "2.11.1", True),
    ("2.15.0", "2.11.0", True),  # without CUDA; with it, torchaudio itself refuses another release of CUDA
    ("2.15.0", "2.11.1", True),
]


@pytest.fixture
def installed(monkeypatch):
    def set_versions(torch, torchaudio):
        monkeypatch.setattr(torch_pair, "version", {"torch": torch, "torchaudio": torchaudio}.__getitem__)

    return set_versions


@pytest.mark.parametrize("build", ["", "+cu130", "+cpu"])
@pytest.mark.parametrize("torch, torchaudio, loads", TRIED)
def test_a_pair_is_refused_where_it_does_not_load(installed, torch, torchaudio, loads, build):
    installed(torch + build, torchaudio + build)
    if loads:
        assert torch_pair.check_torch_pair() is None
    else:
        with pytest.raises(ImportError, match=r'pip install "torchaudio[=>]=2') as caught:
            torch_pair.check_torch_pair()
        assert torch + build in str(caught.value) and torchaudio + build in str(caught.value)


def test_the_cure_is_a_release_that_loads():
    for torch, torchaudio, loads in TRIED:
        assert torch_pair.fitting_torchaudio(torch).contains(torchaudio) == loads


def test_the_pair_of_this_environment_is_admitted():
    assert torch_pair.check_torch_pair() is None


@pytest.mark.parametrize(
    "module", ["lung_srad_plugin", "lung_srad_plugin.cli.main", "lung_srad_plugin.training.recipe"]
)
def test_an_unfit_pair_is_told_before_anything_is_loaded(tmp_path, module):
    for name, release in (("torch", "2.11.0"), ("torchaudio", "2.11.1")):
        (tmp_path / f"{name}-{release}.dist-info").mkdir()
        (tmp_path / f"{name}-{release}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {release}\n")
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: torch 2.11.0 cannot load torchaudio 2.11.1")
    assert last.endswith('with this torch: pip install "torchaudio==2.11.0"')
