"""What no request may do: call this machine by a strange name, ask too often, come from another web page, or make the
server fetch an address."""

from collections.abc import Awaitable, Callable, Container, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers

from lung_srad_plugin.serving.answers import problem, refuse
from lung_srad_plugin.serving.rate import RateLimit
from lung_srad_plugin.serving.refusals import TooManyRequests

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PAGE_API = "/gradio_api/"
# Where files arrive: of the API, and of the page from a file and from the microphone.
UPLOADS = ("/api/classify", f"{PAGE_API}upload", f"{PAGE_API}process_recording")


class RequestGuard:
    """Refuse requests before anything is done for them.

    Arguments
    ---------
    app : ASGI application
    rate : RateLimit
        Of uploads.
    hosts : container of str
        Names that a request may call this machine by; ``*`` for any. Another name may be one that another web page had
        the browser look up.
    """

    def __init__(self, app: Any, rate: RateLimit, hosts: Container[str] = ("*",)):
        self.app = app
        self.rate = rate
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._refuse(scope) if scope["type"] == "http" else None
        await (self.app if answer is None else answer)(scope, receive, send)

    def _refuse(self, scope: Scope) -> Any:
        host = _host_name(Headers(scope=scope).get("host", ""))
        if "*" not in self.hosts and host not in self.hosts:
            return problem(
                400,
                "wrong_host",
                "the request calls this machine by a name that the service does not know; ask http://localhost or "
                "http://127.0.0.1, or start it with --host 0.0.0.0",
            )
        path = unquote(scope["path"])
        if _fetches(path):
            return problem(403, "forbidden", "this service fetches nothing from other addresses")
        if scope["method"] != "POST":
            return None
        if Headers(scope=scope).get("sec-fetch-site") == "cross-site":
            return problem(403, "forbidden", "a page of another site may not use this service")
        if path.rstrip("/") in UPLOADS:
            seconds = self.rate.take(scope["client"][0] if scope.get("client") else "")
            if seconds:
                return refuse(
                    TooManyRequests(
                        f"more than {self.rate.rate} uploads a minute, the limit for one client; try again in "
                        f"{seconds} s",
                        seconds,
                    )
                )
        return None


def _host_name(header: str) -> str | None:
    """Return the name in a Host header without the port; an address of IPv6 keeps its brackets."""
    try:
        name = urlsplit(f"//{header}").hostname
    except ValueError:  # brackets around what is no address
        return None
    return f"[{name}]" if name is not None and ":" in name else name


def _fetches(path: str) -> bool:
    """Return whether a request would make the page's server fetch a web address for the client."""
    rest = path.removeprefix(PAGE_API)
    return rest != path and (rest.startswith("proxy=") or (rest.startswith("file=") and ":/" in rest))
