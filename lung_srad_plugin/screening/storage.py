"""Where recordings and results lie: a folder of this machine or an object store, from what a user types."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lung_srad_plugin.errors import LungSRADError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_ADDRESS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<host>[^/?]*)/?(?P<path>.*?)"
    r"(?P<query>\?(?:[\w.]+=[^&/]*&?)+)?",
    re.DOTALL,
)
GS_PATIENCE = "retry_limit_seconds=60"
_ARROW_SCHEMES = frozenset({"s3", "gs", "gcs", "abfs", "abfss", "hdfs"})
# What fsspec needs for schemes that users of object stores know.
_PACKAGES = {"az": "adlfs", "adl": "adlfs", "http": "aiohttp", "https": "aiohttp", "sftp": "paramiko"}


@dataclass(frozen=True)
class Location:
    """A file or folder, on this machine or in an object store.

    Arguments
    ---------
    filesystem : pyarrow.fs.FileSystem
    path : str
        In that file system.
    scheme : str
        "s3://", for example; blank where it is a folder of this machine. Before a path of the file system it makes what
        a user would type.
    """

    filesystem: FileSystem
    path: str
    scheme: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is a folder or file of this machine."""
        return not self.scheme

    def __str__(self) -> str:
        return f"{self.scheme}{self.path}"


def locate(text: str) -> Location:
    """Return the location that a path or an address names; whether anything is there is not asked.

    Arguments
    ---------
    text : str
        A path, or an address such as ``s3://bucket/folder``, ``gs://...``, ``abfs://...``, ``az://...`` or any other
        that fsspec knows. Options follow a question mark: ``s3://bucket/folder?region=eu-central-1``.

    Returns
    -------
    Location

    Raises
    ------
    LungSRADError
        Where the scheme is unknown, its package is not installed, or the store refuses.

    Example
    -------
    >>> str(locate("/data/../data/a.wav")), locate("file:///data/a.wav").path
    ('/data/a.wav', '/data/a.wav')
    >>> locate("nowhere://a")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: nowhere://a: addresses of the kind nowhere:// are unknown; expected ...
    """
    address = _ADDRESS.fullmatch(text)
    if address is None or address["scheme"] == "file":
        from pyarrow.fs import LocalFileSystem

        path = text if address is None else "/" + address["path"] + (address["query"] or "")
        path = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111
        if not is_utf8(path):
            raise LungSRADError(f"{path}: the name is no UTF-8, which Arrow needs; rename the folder or file")
        return Location(LocalFileSystem(), path)
    scheme, host, query = address["scheme"].lower(), address["host"], address["query"] or ""
    filesystem, root = _open_store(scheme, host, query)
    parts = [part for part in (root, address["path"].strip("/")) if part]
    return Location(filesystem, "/".join(parts), f"{scheme}://")


def is_utf8(path: str) -> bool:
    """Return whether a path of this machine is text, as it is wherever names are UTF-8.

    Example
    -------
    >>> is_utf8("café.wav"), is_utf8(os.fsdecode(b"caf\\xe9.wav"))
    (True, False)
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


@cache
def _open_store(scheme: str, host: str, query: str) -> tuple[FileSystem, str]:
    """Return the file system of an object store, and the path of the bucket in it."""
    shown = f"{scheme}://{host}"
    try:
        if scheme in _ARROW_SCHEMES:
            from pyarrow.fs import FileSystem

            if scheme in ("gs", "gcs") and "retry_limit_seconds" not in query:
                query = f"{query}&{GS_PATIENCE}" if query else f"?{GS_PATIENCE}"  # its own limit is 15 minutes
            # The bucket alone: the rest of an address may hold characters that an address may not.
            filesystem, root = FileSystem.from_uri(f"{shown}{'/' if query else ''}{query}")
            return filesystem, root.strip("/")
        import fsspec
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        store, root = fsspec.core.url_to_fs(shown)
        return PyFileSystem(FSSpecHandler(store)), root.strip("/")
    except ImportError as error:
        package = _PACKAGES.get(scheme, error.name or "its package")
        raise LungSRADError(
            f"{shown}: reading from {scheme}:// needs {package}, which is not installed; pip install {package}"
        ) from None
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and "rotocol not known" in str(error):
            raise LungSRADError(
                f"{shown}: addresses of the kind {scheme}:// are unknown; expected a path, s3://, gs://, abfs:// or az://"
            ) from None
        raise unreachable(shown, error) from error


def unreachable(name: object, error: Exception) -> LungSRADError:
    """Return the error of a place that cannot be reached, in one line, with the cure."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return LungSRADError(
        f"{name}: cannot be reached ({reason}); check the name, your credentials and the network. Options such as the "
        "region follow a question mark: s3://bucket/folder?region=eu-central-1"
    )
