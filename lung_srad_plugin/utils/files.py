"""Writing files: whole or not at all, and never over a file that this product did not write.

The rule: a file that exists may be replaced only where the record of its folder, ``.lung-srad-files``, holds its name
together with the SHA-256 of its present content. Each file that is written here is recorded so; what another program
wrote, and what somebody changed by hand since, is not, and is refused by name. A file that holds already what would be
written is left as it is. Nothing is recognised by its name alone.

Files that are named by a hash of what they were computed from, as in the feature cache, need no record.
"""

import contextlib
import errno
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.provenance import file_sha256
from lung_srad_plugin.utils.text import printable

RECORD = ".lung-srad-files"  # lines of a SHA-256, two spaces and a name; of one name the latest that fits counts
RESULT_MARK = ".lung-srad"  # ends the stem of a result beside data, "a.lung-srad.txt": preparing data ignores it
_SHOWN = 5
_CURES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space, or choose a folder on another disk"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "choose a folder in which you may write"),
}


@contextlib.contextmanager
def explain_write_errors(path: str | os.PathLike) -> Iterator[None]:
    """Turn an operating system's refusal to write into one sentence with the path, the reason and the cure.

    Arguments
    ---------
    path : str or Path
        The file or folder that is being written.

    Raises
    ------
    LungSRADError
        Instead of any OSError, for example on a full or read-only disk.

    Example
    -------
    >>> with explain_write_errors("train.csv"):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: train.csv: cannot be written: No space left on device; free some space, ...
    """
    try:
        yield
    except OSError as error:
        cure = _CURES.get(error.errno or 0, "choose another folder")
        raise LungSRADError(f"{printable(path)}: cannot be written: {error.strerror or error}; {cure}") from error


def refuse_foreign_files(paths: Iterable[str | os.PathLike]) -> None:
    """Refuse files that exist and were not written by this product: to be called before any work is begun.

    Arguments
    ---------
    paths : iterable of (str or Path)
        The files that the work is going to write.

    Raises
    ------
    LungSRADError
        Naming the files that would be lost, with the cure.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "101_1b1_Al_sc_Meditron.txt").write_text("0.036 0.579 0 1")
    >>> refuse_foreign_files([folder / "101_1b1_Al_sc_Meditron.txt"])
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: ...101_1b1_Al_sc_Meditron.txt: already there, and not written by ...
    """
    records: dict[Path, set] = {}
    foreign = []
    for path in map(Path, paths):
        if not os.path.lexists(path):
            continue
        if path.parent not in records:
            records[path.parent] = _read_record(path.parent)
        if not path.is_file() or (file_sha256(path), printable(path.name)) not in records[path.parent]:
            foreign.append(printable(path))
    if foreign:
        more = f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else ""
        raise LungSRADError(
            f"{', '.join(foreign[:_SHOWN])}{more}: already there, and not written by lung-srad or changed since; "
            "nothing was overwritten. Choose another folder, or move what is there away"
        )


def write_together(contents: Mapping) -> None:
    """Write several files; a failure leaves whatever was there before.

    All files are first written in full beside their final paths and then moved there, which replaces each of them in
    one step. Line ends are ``\\n`` on every system, so that the same text gives the same bytes.

    Arguments
    ---------
    contents : dict
        Path to text or bytes. The folders are made where they are missing. Files are moved in this order.

    Raises
    ------
    LungSRADError
        Where a file exists that this product did not write, see the rule above, or where one cannot be written, for
        example on a full disk.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write_together({folder / "a.txt": "one\\n", folder / "b.txt": "two\\n"})
    >>> write_together({folder / "a.txt": "three\\n"})
    >>> (folder / "a.txt").read_text()
    'three\\n'
    """
    contents = {
        Path(path): content.encode("utf-8") if isinstance(content, str) else content
        for path, content in contents.items()
    }
    contents = {path: content for path, content in contents.items() if not _holds(path, content)}
    refuse_foreign_files(contents)
    staged = {}
    try:
        for path, content in contents.items():
            with explain_write_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                beside = _beside(path)
                staged[beside] = path
                with beside.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
        for beside, path in staged.items():
            with explain_write_errors(path):
                _move(beside, path, hashlib.sha256(contents[path]).hexdigest())
    finally:
        for beside in staged:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)


@contextlib.contextmanager
def write_safely(path: str | os.PathLike) -> Iterator[Path]:
    """Give a path beside ``path`` to write a file to; it is moved to ``path`` at the end, or removed after a failure.

    Arguments
    ---------
    path : str or Path
        Where the file shall be; its folder is made where it is missing.

    Raises
    ------
    LungSRADError
        Where a file exists there that this product did not write, see the rule above, or where it cannot be written.

    Example
    -------
    >>> path = getfixture("tmp_path") / "picture.png"
    >>> with write_safely(path) as beside:
    ...     _ = beside.write_bytes(b"...")
    >>> path.read_bytes()
    b'...'
    """
    path = Path(path)
    refuse_foreign_files([path])
    beside = _beside(path)
    try:
        with explain_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            _move(beside, path, file_sha256(beside))
    finally:
        beside.unlink(missing_ok=True)


def record_folder(folder: str | os.PathLike) -> None:
    """Record all files of a folder that was written as a whole, so that it may be replaced as a whole.

    Arguments
    ---------
    folder : str or Path
        Without subfolders.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "config.json").write_text("{}")
    >>> record_folder(folder)
    >>> refuse_foreign_content(folder)
    """
    folder = Path(folder)
    lines = [f"{file_sha256(path)}  {printable(path.name)}\n" for path in sorted(folder.iterdir()) if path.is_file()]
    (folder / RECORD).write_text("".join(lines), encoding="utf-8", newline="")


def adopt_files(paths: Iterable[str | os.PathLike]) -> None:
    """Record files that a version before this one wrote, which kept no record: those in folders without one.

    Only for folders that are known by their content to be this product's, such as that of a run.

    Arguments
    ---------
    paths : iterable of (str or Path)
        Those that do not exist are passed over.

    Example
    -------
    >>> path = getfixture("tmp_path") / "results.json"
    >>> _ = path.write_text("{}")
    >>> adopt_files([path])
    >>> refuse_foreign_files([path])
    """
    by_folder: dict[Path, list[Path]] = {}
    for path in map(Path, paths):
        if path.is_file() and path.name != RECORD:
            by_folder.setdefault(path.parent, []).append(path)
    for folder, files in by_folder.items():
        if not (folder / RECORD).exists():
            lines = [f"{file_sha256(path)}  {printable(path.name)}\n" for path in files]
            (folder / RECORD).write_text("".join(lines), encoding="utf-8", newline="")


def refuse_foreign_content(folder: str | os.PathLike) -> None:
    """Refuse a folder that holds anything that this product did not write: to be called before it is replaced.

    Raises
    ------
    LungSRADError
        Naming what would be lost, with the cure.
    """
    refuse_foreign_files(path for path in sorted(Path(folder).iterdir()) if path.name != RECORD)


def files_by_record(folder: str | os.PathLike) -> tuple[list[Path], list[Path], list[Path]]:
    """Return the content of a folder: files that this product wrote, those that were changed since, everything else.

    Arguments
    ---------
    folder : str or Path
        Its record itself is in none of the lists; folders in it are in the last.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write_together({folder / "a.txt": "one", folder / "b.txt": "two"})
    >>> _ = (folder / "b.txt").write_text("three"), (folder / "c.txt").write_text("four")
    >>> [[path.name for path in paths] for paths in files_by_record(folder)]
    [['a.txt'], ['b.txt'], ['c.txt']]
    """
    folder = Path(folder)
    record = _read_record(folder)
    names = {name for _, name in record}
    written, changed, others = [], [], []
    for path in sorted(folder.iterdir()):
        if path.name == RECORD:
            continue
        name = printable(path.name)
        if name not in names or not path.is_file():
            others.append(path)
        elif (file_sha256(path), name) in record:
            written.append(path)
        else:
            changed.append(path)
    return written, changed, others


def _beside(path):
    # In the same folder, because only within one file system is a move a single step; short, as the name may be long.
    return path.with_name(f".{uuid.uuid4().hex}.part")


def _move(beside, path, sha256):
    # Recorded first: if the process is killed in between, the file from before is still on record too.
    with (path.parent / RECORD).open("a", encoding="utf-8", newline="") as record:
        record.write(f"{sha256}  {printable(path.name)}\n")
    beside.replace(path)


def _holds(path, content):
    return path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content


def _read_record(folder):
    try:
        lines = (folder / RECORD).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return set()
    return {tuple(line.split("  ", 1)) for line in lines}
