"""Which files an event of the page may name: those that the page's server keeps itself.

Gradio checks this too, but only of pages that it launched itself, not of one that is part of another application; and
it fetches a web address where a client names one.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lung_srad_plugin.serving.answers import problem
from lung_srad_plugin.serving.guard import PAGE_API, UPLOADS, Receive, Scope, Send

MAX_EVENT = 20_000_000  # bytes: a result of the greatest length is a tenth of it


class PageFileGuard:
    """Refuse events of the page that name other files than those in a folder.

    Arguments
    ---------
    app : ASGI application
    folder : str or Path
        Where the page's server keeps files.
    """

    def __init__(self, app: Any, folder: str | os.PathLike):
        self.app = app
        self.folder = Path(folder).resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        event = scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith(PAGE_API)
        if not event or scope["path"].rstrip("/") in UPLOADS:
            await self.app(scope, receive, send)
            return
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MAX_EVENT:
                await problem(413, "too_large", f"an event of the page has {MAX_EVENT:,} bytes at most")(
                    scope, receive, send
                )
                return
        if not self._allows(bytes(body)):
            await problem(403, "forbidden", "an event of the page may name no file but what was uploaded")(
                scope, receive, send
            )
            return
        replayed = False

        async def replay() -> Any:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self.app(scope, replay, send)

    def _allows(self, body: bytes) -> bool:
        if not body:
            return True
        try:
            paths = list(_named_paths(json.loads(body)))
            return all(Path(path).resolve().is_relative_to(self.folder) for path in paths)
        except (ValueError, OSError, RecursionError):  # no JSON, or a name that no file can have
            return False


def _named_paths(value: Any) -> Iterator[str]:
    """Yield every path that a value names, as the components of a page write them."""
    if isinstance(value, dict):
        path = value.get("path")
        if isinstance(path, str):
            yield path
        for part in value.values():
            yield from _named_paths(part)
    elif isinstance(value, list):
        for part in value:
            yield from _named_paths(part)
