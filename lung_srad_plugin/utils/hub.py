"""The Hugging Face hub: which texts name a model there, and what went wrong with a request, in one sentence."""

import re

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.text import printable

HUB_SCHEME = "hf://"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}", re.ASCII)
"""Whatever else a path may look like is no hub id: a dot or ~ first, a drive, a backslash, a second slash."""

LOG_IN = (
    "log in with: hf auth login, or set HF_TOKEN to a token that may write (https://huggingface.co/settings/tokens)"
)

_LONGEST_REASON = 300  # characters


def schemed_hub_id(text: str) -> str | None:
    """Return the hub id of ``hf://owner/name``, None for any other text.

    Example
    -------
    >>> schemed_hub_id("hf://owner/name"), schemed_hub_id("owner/name")
    ('owner/name', None)
    """
    name = text.removeprefix(HUB_SCHEME)
    return name if name != text and HUB_ID.fullmatch(name) else None


def check_hub_id(text: str) -> str:
    """Return the hub id that a text names: ``owner/name``, with or without ``hf://`` in front.

    Raises
    ------
    LungSRADError
        Where the hub admits no such name.

    Example
    -------
    >>> check_hub_id("hf://owner/name")
    'owner/name'
    >>> check_hub_id("name")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: name: not a name of the hub; expected OWNER/NAME, where OWNER is ...
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    name = text.removeprefix(HUB_SCHEME)
    expected = "expected OWNER/NAME, where OWNER is your account or an organisation of yours, as in jane/lung-sounds"
    if name.count("/") != 1:
        raise LungSRADError(f"{printable(text)}: not a name of the hub; {expected}")
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        reason = printable(error).split(":")[0].rstrip(".")
        raise LungSRADError(f"{printable(text)}: not a name of the hub ({reason}); {expected}") from None
    return name


def describe_hub_error(error: BaseException) -> tuple[int | None, str]:
    """Return the HTTP status of a request to the hub that failed, None where there was no answer, and the reason.

    Arguments
    ---------
    error : Exception
        Of ``huggingface_hub`` or the HTTP client below it; what uploads files wraps the error in others.

    Example
    -------
    >>> describe_hub_error(OSError("connection refused"))
    (None, 'connection refused')
    """
    inner: BaseException | None = error
    while inner is not None:
        response = getattr(inner, "response", None)
        if response is not None:
            said = getattr(inner, "server_message", None) or response.reason_phrase or "no reason is given"
            return response.status_code, _one_line(said)
        inner = inner.__cause__ or inner.__context__
    return None, _one_line(error) or type(error).__name__


def _one_line(text: object) -> str:
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."
