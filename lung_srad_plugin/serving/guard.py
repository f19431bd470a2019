"""What no request may do: ask too often, come from another web page, or make the server fetch an address."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

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
    """

    def __init__(self, app: Any, rate: RateLimit):
        self.app = app
        self.rate = rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._refuse(scope) if scope["type"] == "http" else None
        await (self.app if answer is None else answer)(scope, receive, send)

    def _refuse(self, scope: Scope) -> Any:
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


def _fetches(path: str) -> bool:
    """Return whether a request would make the page's server fetch a web address for the client."""
    rest = path.removeprefix(PAGE_API)
    return rest != path and (rest.startswith("proxy=") or (rest.startswith("file=") and ":/" in rest))
