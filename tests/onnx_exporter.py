"""Skips tests that write ONNX files where that cannot be done."""

import pytest
import torch

from lung_srad_plugin.export.onnx import can_export


def need_onnx():
    """Skip the test without the packages of the extra ``onnx`` or with a torch that is too old; return onnxruntime."""
    pytest.importorskip("onnxscript")
    if not can_export(torch.__version__):
        pytest.skip("needs torch 2.10 or newer")
    return pytest.importorskip("onnxruntime")
