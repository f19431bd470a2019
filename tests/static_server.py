"""A server for a folder, as ``python -m http.server`` is one, that notes what it is asked for."""

import contextlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def serve(folder):
    """Serve a folder as ``python -m http.server`` does; give its address and the requests that come."""
    requests = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, code="-", size="-"):
            requests.append((self.command, self.path, self.headers.get("Content-Length")))

        def do_POST(self):
            self.send_error(405)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", requests
    finally:
        server.shutdown()
        server.server_close()
