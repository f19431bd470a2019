"""Running the service: an address of this machine, a folder for uploads, and a clean end."""

import contextlib
import ipaddress
import logging
import signal
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
    service: ClassificationService, bound: socket.socket, open_browser: bool = False, proxy: str | None = None
) -> None:
    """Serve until the process is interrupted or told to end; then no file of a visitor is left.

    Arguments
    ---------
    service : ClassificationService
        It is closed at the end.
    bound : socket
        Of ``listen``.
    open_browser : bool
        Whether to open the page in the browser.
    proxy : str, optional
        Addresses of proxies that tell the address of a client in X-Forwarded-For, separated by commas.
    """
    # After its own end uvicorn raises the signal that ended it once more, which would end Python at once.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    host, port = bound.getsockname()[:2]
    hosts = (*LOCAL_NAMES, host) if is_local(host) else ("*",)
    with contextlib.closing(service), tempfile.TemporaryDirectory(prefix="lung-srad-") as folder:
        config = uvicorn.Config(
            create_app(service, folder, hosts),
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
            proxy_headers=proxy is not None,
            forwarded_allow_ips=proxy,
            timeout_graceful_shutdown=CLOSE_SECONDS,
        )
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        service.warm_up()
        with contextlib.suppress(KeyboardInterrupt):
            _Server(config, address, open_browser).run(sockets=[bound])


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
