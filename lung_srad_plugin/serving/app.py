"""The application of the service: the HTTP API with its documentation, the page, and answers to mistakes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.serving.answers import problem, refuse
from lung_srad_plugin.serving.api import make_router
from lung_srad_plugin.serving.cleaning import KEPT_UPLOADS, keep_clean
from lung_srad_plugin.serving.description import PURPOSE
from lung_srad_plugin.serving.guard import RequestGuard
from lung_srad_plugin.serving.mount import PAGE_FOLDER, mount_page
from lung_srad_plugin.serving.rate import RateLimit
from lung_srad_plugin.serving.service import ClassificationService
from lung_srad_plugin.version import __version__


def create_app(
    service: ClassificationService, folder: str | os.PathLike, hosts: Sequence[str] = ("*",), page: bool = True
) -> FastAPI:
    """Return the application, which a server such as uvicorn runs.

    Arguments
    ---------
    service : ClassificationService
    folder : str or Path
        Private to the service, for uploads; whoever makes it removes it at the end.
    hosts : sequence of str
        Names that a request may call this machine by; ``*`` for any.
    page : bool
        Whether the page is at ``/``, too.
    """
    files, total = Path(folder) / PAGE_FOLDER, KEPT_UPLOADS * service.limits.bytes
    app = FastAPIOffline(
        title="Lung-SRAD",
        version=__version__,
        description=PURPOSE,
        redoc_url=None,
        lifespan=lambda _: keep_clean(files, total),
    )
    app.include_router(make_router(service, folder))
    app.add_exception_handler(LungSRADError, _mistake)
    app.add_exception_handler(RequestValidationError, _wrong_parameters)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    if page:
        mount_page(app, service, folder)
    # No origin is allowed; without this, the page's part would allow every one.
    app.add_middleware(CORSMiddleware, allow_origins=[])
    app.add_middleware(RequestGuard, rate=RateLimit(service.limits.rate), hosts=hosts)
    return app


async def _mistake(request: Request, error: Exception) -> Response:
    assert isinstance(error, LungSRADError)
    return refuse(error)


async def _wrong_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [f"{'.'.join(map(str, one['loc'][1:]))}: {_reason(one)}" for one in error.errors()]
    return problem(422, "wrong_parameters", f"parameters of the address: {'; '.join(problems)}; see /docs")


def _reason(one: dict[str, Any]) -> str:
    return "no such parameter" if one["type"] == "extra_forbidden" else one["msg"]


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, "http_error", str(error.detail), dict(error.headers or {}))


async def _unexpected(request: Request, error: Exception) -> Response:
    return problem(500, "unexpected", "unexpected error; the server's log says more. Please report it")
