"""How a service answers: a result in the format that was asked for, a refusal as JSON."""

from collections.abc import Callable
from typing import NamedTuple

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from lung_srad_plugin.annotations.files import format_annotations
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.result import Classification
from lung_srad_plugin.serving.refusals import Refusal


class ResultFormat(NamedTuple):
    """A format of results.

    Arguments
    ---------
    media_type : str
    write : callable
        From a ``Classification`` to text.
    """

    media_type: str
    write: Callable[[Classification], str]


# As `lung-srad classify --output` writes them.
FORMATS = {
    "json": ResultFormat("application/json", lambda result: result.to_json(indent=2) + "\n"),
    "csv": ResultFormat("text/csv; charset=utf-8", lambda result: result.to_csv()),
    "audacity": ResultFormat("text/plain; charset=utf-8", lambda result: result.to_audacity()),
    "raven": ResultFormat("text/plain; charset=utf-8", lambda result: _annotations(result, "raven")),
    "textgrid": ResultFormat("text/plain; charset=utf-8", lambda result: _annotations(result, "textgrid")),
}


def _annotations(result: Classification, format: str) -> str:
    return format_annotations(result.to_annotations(), format, result.duration)


class Problem(BaseModel):
    """What the service answers where it does not do what was asked."""

    error: str = Field(description="One word for programs.")
    message: str = Field(description="What was wrong, what was expected, and the cure.")


def refuse(error: LungSRADError) -> JSONResponse:
    """Return the answer for a mistake, or for what exceeds a limit."""
    if not isinstance(error, Refusal):
        return problem(422, "unusable", str(error))
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return problem(error.status, error.reason, str(error), headers)


def problem(status: int, error: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a ``Problem`` as an answer."""
    return JSONResponse(Problem(error=error, message=message).model_dump(), status, headers)
