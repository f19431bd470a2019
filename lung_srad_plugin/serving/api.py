"""The HTTP API: classify an upload, describe the model, tell how busy the service is."""

import asyncio
import os
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import Field

from lung_srad_plugin.inference.result_formats import format_result
from lung_srad_plugin.serving.answers import FORMATS, Problem, problem
from lung_srad_plugin.serving.description import describe_model, describe_state
from lung_srad_plugin.serving.refusals import Stopped
from lung_srad_plugin.serving.service import ClassificationService, Job
from lung_srad_plugin.serving.settings import ClientSettings
from lung_srad_plugin.serving.upload import FIELD, receive_upload

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
DISCONNECT_SECONDS = 0.5  # between two looks whether the client is still there


class ClassifyParameters(ClientSettings):
    """The parameters of the address of ``/api/classify``."""

    format: Literal["json", "csv", "audacity", "raven", "textgrid"] = Field(
        default="json", description="Of the answer."
    )


UPLOAD = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {FIELD: {"type": "string", "format": "binary", "description": "The recording."}},
            }
        }
    },
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description}
    for status, description in {
        403: "A page of another site asks.",
        408: "The upload did not arrive in time.",
        413: "The upload is too large.",
        415: "The request is no upload of a file.",
        422: "The recording cannot be classified, or the request asks for what there is not.",
        429: "The client asks too often; `Retry-After` says when to come back.",
        503: "Too many recordings wait, or the classification took too long.",
    }.items()
}


def make_router(service: ClassificationService, folder: str | os.PathLike) -> APIRouter:
    """Return the routes of the API.

    Arguments
    ---------
    service : ClassificationService
    folder : str or Path
        Private to the service, for uploads while they are classified.
    """
    router = APIRouter(prefix="/api")

    @router.post(
        "/classify",
        summary="Classify a recording",
        openapi_extra={"requestBody": UPLOAD},
        responses={
            200: {
                "description": "The result, as `lung-srad classify --output` writes it.",
                "content": {media_type.partition(";")[0]: {} for media_type in FORMATS.values()},
            },
            **REFUSALS,
        },
    )
    async def classify(request: Request, parameters: Annotated[ClassifyParameters, Query()]) -> Response:
        settings = ClientSettings(**parameters.model_dump(exclude={"format"}))
        service.check_settings(settings)
        with service.place():
            async with receive_upload(request, service.limits, folder) as upload:
                result = await _finish(request, service.submit_recording(upload.path, upload.name, settings))
        text = format_result(result, parameters.format)
        return Response(text, media_type=FORMATS[parameters.format])

    @router.get("/model", summary="Describe the model and the limits of the service")
    async def model() -> dict[str, Any]:
        return describe_model(service)

    @router.get("/health", summary="Tell whether the service works, and how busy it is")
    async def health() -> dict[str, Any]:
        return describe_state(service)

    # Without this, what is at the root would answer: the page, which says nothing about methods.
    @router.api_route("/{rest:path}", methods=METHODS, include_in_schema=False)
    async def others(request: Request) -> Response:
        path = request.url.path
        methods = {one.path: one.methods for one in router.routes if isinstance(one, APIRoute)}.get(path)
        if methods is None:
            return problem(404, "not_found", "no such address; /docs lists those that there are")
        allowed = ", ".join(sorted(methods))
        return problem(405, "wrong_method", f"{path} takes {allowed}; see /docs", {"Allow": allowed})

    return router


async def _finish(request: Request, job: Job) -> Any:
    """Return the result of a job; a job whose client has gone is stopped."""
    future = asyncio.wrap_future(job.future)
    try:
        while not future.done():
            await asyncio.wait([future], timeout=DISCONNECT_SECONDS)
            if not future.done() and await request.is_disconnected():
                raise Stopped("the client has gone")
        return future.result()
    except asyncio.CancelledError:
        if job.future.cancelled():  # by the end of the service
            raise Stopped("the service ends") from None
        raise
    finally:
        job.stop()
        future.cancel()
