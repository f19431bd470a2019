"""The page at the root of the service's application, with the limits of the service."""

import os
from pathlib import Path

from fastapi import FastAPI

from lung_srad_plugin.serving.page_files import PageFileGuard
from lung_srad_plugin.serving.service import ClassificationService

# Of the page that wait, most of them short; how many recordings may wait is the service's to say.
MAX_EVENTS = 200
PAGE_FOLDER = "page"  # within the private folder of the service


def mount_page(app: FastAPI, service: ClassificationService, folder: str | os.PathLike) -> None:
    """Put the page at ``/``.

    Arguments
    ---------
    app : FastAPI
        Its routes come before those of the page.
    service : ClassificationService
    folder : str or Path
        Private to the service. The page serves the files it keeps there, and no others.
    """
    # Gradio reads these while it is imported. Its usual folder is shared by all programs of this machine that use it.
    files = Path(folder) / PAGE_FOLDER
    os.environ["GRADIO_TEMP_DIR"] = str(files)
    os.environ["GRADIO_EXAMPLES_CACHE"] = str(Path(folder) / "examples")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio

    from lung_srad_plugin.serving.page import build_page, page_look

    page = build_page(service)
    page.queue(max_size=MAX_EVENTS, default_concurrency_limit=service.limits.at_work)
    gradio.mount_gradio_app(
        app,
        page,
        path="/",
        allowed_paths=[],
        max_file_size=service.limits.bytes,
        show_error=True,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        **page_look(),
    )
    # Else Gradio does not check which files its events name: see page_files.
    page.has_launched = True
    app.add_middleware(PageFileGuard, folder=files)
