"""The page of the starter model, written once for all tests."""

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
    shared = tmp_path_factory.getbasetemp().parent / f"lung-srad-page-{tmp_path_factory.getbasetemp().parent.name}"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            package = tmp_path_factory.mktemp("onnxruntime-web")
            for name, content in runtime.items():
                (package / name).write_bytes(content)
            export_web("starter", shared, package)
    return shared
