"""What the tests share: the folder of real and golden data, where it is present, and one thread a process."""

import logging
import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from speechbrain.utils.importutils import LazyModule

SHARED = Path(os.environ.get("LUNG_SRAD_SHARED", Path(__file__).parents[2] / "shared"))

# SpeechBrain's console handler keeps the stream of the test that made it; logging need not print a traceback about it.
logging.raiseExceptions = False

pytest_plugins = ["tiny_model", "breath_model", "hub_server", "command_line"]

# Hypothesis reads the __file__ of every module; asking SpeechBrain's lazy ones for it would import their missing parts.
LazyModule.__file__ = None

# A slow machine is no failure; and what fails in continuous integration must fail there again.
settings.register_profile("patient", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("patient")

# Tests run in several processes; one thread each keeps them from fighting over the cores.
torch.set_num_threads(1)


def shared_path(*parts):
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(parts)} in the folder of test data, set by LUNG_SRAD_SHARED")
    return path


@pytest.fixture(scope="session")
def golden():
    """The folder with arrays computed by the public reference implementations."""
    return shared_path("golden")


@pytest.fixture(scope="session")
def icbhi_folder():
    """158 real ICBHI recordings in the layout of the official download."""
    return shared_path("data", "icbhi")


@pytest.fixture(scope="session")
def icbhi_annotations():
    """The archive with all 920 ICBHI annotation files."""
    return shared_path("data", "icbhi_annotations", "annotations_920.tar.gz")


@pytest.fixture(scope="session")
def kauh_folder():
    """108 KAUH recordings: 36 subjects under three filters."""
    return shared_path("data", "kauh")


@pytest.fixture(scope="session")
def sprsound_folder():
    """The complete SPRSound 2022 set, recordings as flac."""
    return shared_path("data", "sprsound")
