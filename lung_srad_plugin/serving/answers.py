"""How a service answers: a result in the format that was asked for, a refusal as JSON."""

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.serving.refusals import Refusal

# Formats of `format_result` with their media types.
FORMATS = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "audacity": "text/plain; charset=utf-8",
    "raven": "text/plain; charset=utf-8",
    "textgrid": "text/plain; charset=utf-8",
}


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
