"""Running the review page on this machine, until it is interrupted."""

import contextlib
import logging
import webbrowser
from pathlib import Path

import uvicorn

from lung_srad_plugin.review.app import create_review_app
from lung_srad_plugin.serving.server import listen

HOST = "127.0.0.1"
CLOSE_SECONDS = 3  # for answers that are under way at the end


def run_review(folder: Path, reviewer: str, blind: bool = False, port: int = 7870, open_browser: bool = False) -> None:
    """Serve the page on this machine alone.

    Arguments
    ---------
    folder, reviewer, blind
        As for ``create_review_app``.
    port : int
        0 for any that is free.
    open_browser : bool

    Raises
    ------
    LungSRADError
        Where the folder is faulty, or the port is taken.
    """
    app = create_review_app(folder, reviewer, blind)
    with listen(HOST, port) as bound:
        address = f"http://{HOST}:{bound.getsockname()[1]}"
        # Whoever asks now waits for the server, since the socket listens already.
        print(f"Lung-SRAD review: {address} (end: Ctrl-C)", flush=True)
        if open_browser:
            webbrowser.open(address)
        config = uvicorn.Config(
            app,
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=CLOSE_SECONDS,
        )
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[bound])
