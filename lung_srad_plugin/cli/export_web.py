"""``lung-srad export-web``: a page that runs a model in the browser alone."""

from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.cli.options import TrustCode
from lung_srad_plugin.utils.text import printable


def export_web(
    model: Annotated[
        str,
        typer.Argument(help="A model folder, a hub id owner/name, or starter: the model that comes with lung-srad."),
    ],
    folder: Annotated[Path, typer.Argument(help="Where to write: absent, empty, or an earlier page.")],
    onnxruntime_web: Annotated[
        Path | None,
        typer.Option(
            "--onnxruntime-web",
            help="The npm package onnxruntime-web 1.30.0, unpacked. If left out, npm fetches it.",
        ),
    ] = None,
    trust_code: TrustCode = False,
):
    """Write a page that classifies recordings in the browser alone; nothing is uploaded.

    Needs the extra onnx. Any static web server serves the folder.

    Examples: lung-srad export-web starter page; then python -m http.server --directory page --bind 127.0.0.1
    """
    from lung_srad_plugin.browser.page import export_web as write_page

    written = write_page(model, folder, onnxruntime_web, trust_code)
    print(printable(written))
