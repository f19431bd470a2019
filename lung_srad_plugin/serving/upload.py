"""One uploaded recording on its way to a file that is removed afterwards, with the limits held while it arrives."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from lung_srad_plugin.serving.limits import MEGABYTE, ServingLimits
from lung_srad_plugin.serving.recording_limits import check_size
from lung_srad_plugin.serving.refusals import NoRecording, NoUpload, Refusal, Stopped, TooLarge, UploadTooSlow

FIELD = "file"
MAX_NAME = 200  # characters
# What a form holds beside the file: boundaries and headers.
OVERHEAD = 10_000
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,8}")


@dataclass(frozen=True)
class Upload:
    """A recording that was uploaded.

    Arguments
    ---------
    path : Path
        The file that it was written to.
    name : str
        What the client calls it: a label, never a path.
    """

    path: Path
    name: str


class _Ended(MultiPartException):
    """A refusal while the form is read: the parser closes its files when it sees one of its own exceptions."""

    def __init__(self, refusal: Refusal):
        super().__init__(str(refusal))
        self.refusal = refusal


@asynccontextmanager
async def receive_upload(request: Request, limits: ServingLimits, folder: str | os.PathLike) -> AsyncIterator[Upload]:
    """Write the one file of a multipart form into a folder, and remove it at the end.

    Arguments
    ---------
    request : Request
        Whose body has not been read.
    limits : ServingLimits
        Bytes are counted while they arrive: at the limit reading ends.
    folder : str or Path
        Private to the service.

    Yields
    ------
    Upload

    Raises
    ------
    Refusal
        Where the request is no form with one file, or exceeds a limit.
    """
    _check_headers(request, limits)
    form = await _read_form(request, limits)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        try:
            part = _only_file(form)
            name = file_label(part.filename)
            ending = Path(name).suffix
            path = Path(own) / f"recording{ending if _ENDING.fullmatch(ending) else ''}"
            await anyio.to_thread.run_sync(_copy, part, path)
        finally:
            await form.close()
        check_size(path.stat().st_size, name, limits)
        yield Upload(path, name)


def file_label(name: str | None) -> str:
    """Return what a client calls a file, without folders.

    Example
    -------
    >>> file_label("../../etc/passwd"), file_label("C:\\\\sounds\\\\a.wav"), file_label("")
    ('passwd', 'a.wav', 'recording')
    """
    last = (name or "").replace("\\", "/").rsplit("/", 1)[-1]
    return last[-MAX_NAME:] or "recording"


def _check_headers(request: Request, limits: ServingLimits) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise NoUpload(
            f"content type {kind[:100] or 'missing'}; expected multipart/form-data with the recording in the field "
            f"{FIELD!r}, for example: curl -F {FIELD}=@breath.wav"
        )
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limits.bytes + OVERHEAD:
        raise _too_large(limits)


async def _read_form(request: Request, limits: ServingLimits) -> FormData:
    chunks = _chunks(request, limits)
    try:
        return await MultiPartParser(request.headers, chunks, max_files=1, max_fields=1, max_part_size=1000).parse()
    except _Ended as end:
        raise end.refusal from None
    except MultiPartException as error:
        raise NoRecording(
            f"the form cannot be read ({error.message}); expected one file, in the field {FIELD!r}"
        ) from None
    finally:
        await chunks.aclose()


async def _chunks(request: Request, limits: ServingLimits) -> AsyncGenerator[bytes, None]:
    """Yield the body as it arrives, up to the limits."""
    deadline, total = anyio.current_time() + limits.upload_seconds, 0
    stream = request.stream()
    while True:
        try:
            with anyio.fail_after(max(0.0, deadline - anyio.current_time())):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise _Ended(
                UploadTooSlow(
                    f"the upload did not arrive within {limits.upload_seconds:g} s; send a smaller file, or try again"
                )
            ) from None
        except ClientDisconnect:
            raise _Ended(Stopped("the client has gone")) from None
        total += len(chunk)
        if total > limits.bytes + OVERHEAD:
            raise _Ended(_too_large(limits))
        yield chunk


def _too_large(limits: ServingLimits) -> TooLarge:
    return TooLarge(
        f"the upload is larger than {limits.bytes / MEGABYTE:g} MB, the limit of this service; send a shorter "
        "recording, or a compressed one such as FLAC"
    )


def _only_file(form: FormData) -> UploadFile:
    parts = form.multi_items()
    if len(parts) == 1 and parts[0][0] == FIELD and isinstance(parts[0][1], UploadFile):
        return parts[0][1]
    found = ", ".join(f"{key[:50]!r} ({'file' if isinstance(value, UploadFile) else 'text'})" for key, value in parts)
    raise NoRecording(
        f"the form holds {found or 'nothing'}; expected one file, in the field {FIELD!r}. Settings are parameters of "
        "the address"
    )


def _copy(part: UploadFile, path: Path) -> None:
    part.file.seek(0)
    with path.open("wb") as file:
        shutil.copyfileobj(part.file, file)
