"""Running the service: an address of this machine, a folder for uploads, and a clean end."""

import contextlib
import ipaddress
import logging
import socket
import sys
import tempfile
import threading
import webbrowser

import uvicorn

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.serving.app import create_app
from lung_srad_plugin.serving.service import ClassificationService

CLOSE_SECONDS = 3  # for answers that are under way when the service ends
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


class _Server(uvicorn.Server):
    """A server that says once where it listens."""

    def __init__(self, config: uvicorn.Config, address: str, open_browser: bool):
        super().__init__(config)
        self.address = address
        self.open_browser = open_browser

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"Lung-SRAD: {self.address} (API: {self.address}/docs; end: Ctrl-C)", flush=True)
            if self.open_browser:
                threading.Thread(target=webbrowser.open, args=(self.address,), daemon=True).start()


def run_server(
    service: ClassificationService,
    host: str = "127.0.0.1",
    port: int = 7860,
    open_browser: bool = False,
    proxy: str | None = None,
) -> None:
    """Serve until the process is interrupted.

    Arguments
    ---------
    service : ClassificationService
        It is closed at the end.
    host : str
        Address to listen on; 127.0.0.1 is this machine alone.
    port : int
        0 for any that is free.
    open_browser : bool
    proxy : str, optional
        Addresses of proxies that tell the address of a client in X-Forwarded-For, separated by commas.

    Raises
    ------
    LungSRADError
        Where the address cannot be listened on.
    """
    with listen(host, port) as bound, tempfile.TemporaryDirectory(prefix="lung-srad-") as folder:
        local = is_local(host)
        app = create_app(service, folder, LOCAL_NAMES if local else ("*",))
        config = uvicorn.Config(
            app,
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
            proxy_headers=proxy is not None,
            forwarded_allow_ips=proxy,
            timeout_graceful_shutdown=CLOSE_SECONDS,
        )
        name = f"[{host}]" if ":" in host else host
        server = _Server(config, f"http://{name}:{bound.getsockname()[1]}", open_browser)
        try:
            service.warm_up()
            with contextlib.suppress(KeyboardInterrupt):
                server.run(sockets=[bound])
        finally:
            service.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address.

    Raises
    ------
    LungSRADError
        Where the port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    try:
        if sys.platform != "win32":  # there it would let two programs listen at once
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(1)  # Linux refuses a port that another socket listens on only here
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or error
        raise LungSRADError(
            f"cannot listen on {host}, port {port}: {reason}; choose another port with --port; 0 is any that is free"
        ) from error
    return bound


def is_local(host: str) -> bool:
    """Return whether only this machine reaches an address.

    Example
    -------
    >>> is_local("127.0.0.1"), is_local("localhost"), is_local("0.0.0.0"), is_local("192.168.1.5")
    (True, True, False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
