"""The page: a recording in, its result out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import gradio as gr

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.serving.service import ClassificationService
from lung_srad_plugin.serving.upload import file_label

if TYPE_CHECKING:
    from gradio import Blocks


def build_page(service: ClassificationService) -> Blocks:
    """Return the page, whose events go through the service.

    Arguments
    ---------
    service : ClassificationService
    """

    def classify(path: str) -> Any:
        try:
            return json.loads(service.classify(path, file_label(path)).to_json())
        except LungSRADError as error:
            raise gr.Error(str(error)) from None

    with gr.Blocks(title="Lung-SRAD", analytics_enabled=False) as page:
        recording = gr.File(label="Recording", file_count="single", type="filepath")
        result = gr.JSON(label="Result")
        recording.upload(classify, recording, result)
    return page
