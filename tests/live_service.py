"""A service with its page that a thread of the test's process serves."""

import contextlib
import threading
import time

import uvicorn

from lung_srad_plugin.serving.app import create_app
from lung_srad_plugin.serving.limits import ServingLimits
from lung_srad_plugin.serving.server import LOCAL_NAMES, listen
from lung_srad_plugin.serving.service import ClassificationService


class LiveService:
    """A service with its page that a thread of this process serves: ``address``, ``folder``, ``service``."""

    def __init__(self, classifier, folder, **limits):
        self.service = ClassificationService(classifier, ServingLimits(**limits))
        self.folder = folder
        self.app = create_app(self.service, folder, LOCAL_NAMES)

    @contextlib.contextmanager
    def running(self):
        with listen("127.0.0.1", 0) as bound:
            self.address = f"http://127.0.0.1:{bound.getsockname()[1]}"
            server = uvicorn.Server(uvicorn.Config(self.app, log_level="error", timeout_graceful_shutdown=1))
            thread = threading.Thread(target=server.run, args=([bound],))
            thread.start()
            try:
                while not server.started:
                    time.sleep(0.01)
                yield self
            finally:
                server.should_exit = True
                thread.join()
                self.service.close()
