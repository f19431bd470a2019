"""The page of the starter model, written once for all tests."""

import os

import pytest
from filelock import FileLock
from onnx_exporter import need_onnx

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.browser.page import export_web
from lung_srad_plugin.browser.runtime import read_runtime


@pytest.fixture(scope="session")
def runtime():
    """The files of onnxruntime-web."""
    try:
        return read_runtime()
    except LungSRADError as error:
        pytest.skip(f"needs onnxruntime-web: {error}")


@pytest.fixture(scope="session")
def page(runtime, tmp_path_factory):
    """The folder of the page; not to be changed. Processes that test side by side share it."""
    need_onnx()
    base = tmp_path_factory.getbasetemp()
    # Each of several processes has a folder of its own within that of the run; above that are earlier runs.
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "lung-srad-page"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            package = tmp_path_factory.mktemp("onnxruntime-web")
            for name, content in runtime.items():
                (package / name).write_bytes(content)
            export_web("starter", shared, package)
    return shared
