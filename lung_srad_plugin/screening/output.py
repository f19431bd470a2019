"""The output of a screening: Parquet parts that are complete or absent, and what is in them already."""

from __future__ import annotations

import io
import json
import logging
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.screening.storage import Location, unreachable
from lung_srad_plugin.screening.tables import Tables
from lung_srad_plugin.utils.files import explain_write_errors, write_together

if TYPE_CHECKING:
    import pyarrow as pa

RUN = "run.json"
ROWS, RECORDINGS, BAD = "rows", "recordings", "bad"
_LOCK = ".lung-srad-lock"
MOST_SEGMENTS = 500_000  # in a part: some 20 MB
FLAGS = ("uncertain", "unlike_training")

logging.getLogger("filelock").setLevel(logging.INFO)


class ScreenOutput:
    """The folder or object-store prefix that results are written to.

    A part is up to three files of one name: ``rows/part-000001.parquet``, ``bad/...`` and, last, ``recordings/...``.
    The last one completes the part; files of a part without it were left by a run that was stopped, and are removed.

    Arguments
    ---------
    place : Location
    """

    def __init__(self, place: Location):
        self.place = place
        self._lock = FileLock(f"{place.path}/{_LOCK}", timeout=0) if place.is_local else None
        self._part = 0

    def open(self) -> dict[str, Any] | None:
        """Take the output for this process, and return the ``run.json`` that is there, None where nothing is.

        Raises
        ------
        LungSRADError
            Where it cannot be written to, holds something else, or another process has it.
        """
        run = self._read_run()
        if run is None and self._files(""):
            raise LungSRADError(
                f"{self.place}: holds files and no {RUN}, so no results of lung-srad screen; choose another destination"
            )
        if self._lock is not None:
            with explain_write_errors(self.place.path):
                Path(self.place.path).mkdir(parents=True, exist_ok=True)
                try:
                    self._lock.acquire()
                except Timeout:
                    raise LungSRADError(
                        f"{self.place}: another lung-srad screen writes there; wait until it ends, or choose another "
                        "destination"
                    ) from None
        return run

    def close(self) -> None:
        """Let others have the output."""
        if self._lock is not None:
            self._lock.release()

    def write_run(self, run: dict[str, Any]) -> None:
        """Write ``run.json``."""
        self._write(RUN, (json.dumps(run, indent=2, ensure_ascii=False) + "\n").encode())

    def begin(self, again: bool = False) -> set[str]:
        """Remove what a run left that was stopped while it wrote, and return the recordings that are in the output.

        Arguments
        ---------
        again : bool
            Whether bad recordings are to be tried again: they are removed.
        """
        complete = self._files(RECORDINGS)
        self._part = max((int(name[5:11]) for name in complete), default=0)
        done = set()
        for folder in (ROWS, BAD):
            for name in self._files(folder):
                if name not in complete or (again and folder == BAD):
                    self._delete(f"{folder}/{name}")
        for folder in (RECORDINGS, BAD):
            for name in self._files(folder):
                done.update(self._read_column(f"{folder}/{name}", "file"))
        return done

    def write_part(self, rows: pa.Table, recordings: pa.Table, bad: pa.Table) -> None:
        """Write a part.

        Raises
        ------
        LungSRADError
            Where it cannot be written.
        """
        self._part += 1
        name = f"part-{self._part:06d}.parquet"
        tables = {ROWS: rows, BAD: bad, RECORDINGS: recordings}
        for folder, table in tables.items():
            if len(table) or folder == RECORDINGS:
                self._write(f"{folder}/{name}", _parquet(table))

    def _read_run(self):
        content = self._read(RUN, missing=b"null")
        try:
            run = json.loads(content)
            if run is None or isinstance(run, dict):
                return run
        except ValueError:
            pass
        raise LungSRADError(f"{self.place}/{RUN}: not a JSON object as lung-srad writes it; choose another destination")

    def _files(self, folder: str) -> list[str]:
        """Return the names of the files of a folder of the output, but for hidden ones."""
        from pyarrow.fs import FileSelector

        path = f"{self.place.path}/{folder}".rstrip("/")
        try:
            found = self.place.filesystem.get_file_info(FileSelector(path, allow_not_found=True))
        except NotADirectoryError:
            raise LungSRADError(f"{path}: is a file; expected a folder for results") from None
        except OSError as error:
            raise unreachable(self.place, error) from error
        return sorted(one.base_name for one in found if not one.base_name.startswith("."))

    def _read(self, name: str, missing: bytes | None = None) -> bytes:
        from pyarrow.fs import FileType

        path = f"{self.place.path}/{name}"
        try:
            if missing is not None and self.place.filesystem.get_file_info(path).type == FileType.NotFound:
                return missing
            with self.place.filesystem.open_input_stream(path) as file:
                return file.read()
        except OSError as error:
            raise unreachable(f"{self.place}/{name}", error) from error

    def _read_column(self, name: str, column: str) -> list[str]:
        import pyarrow.parquet as pq

        try:
            path = f"{self.place.path}/{name}"
            return pq.read_table(path, filesystem=self.place.filesystem, columns=[column])[column].to_pylist()
        except OSError as error:
            raise unreachable(f"{self.place}/{name}", error) from error
        except (ValueError, KeyError) as error:  # of pyarrow: another file than was written here
            raise LungSRADError(
                f"{self.place}/{name}: not a part of a screening ({error}); remove it, or choose another destination"
            ) from error

    def _write(self, name: str, content: bytes) -> None:
        if self.place.is_local:
            write_together({f"{self.place.path}/{name}": content})
            return
        try:  # an object is there as a whole or not at all
            with self.place.filesystem.open_output_stream(f"{self.place.path}/{name}") as file:
                file.write(content)
        except OSError as error:
            raise unreachable(f"{self.place}/{name}", error) from error

    def _delete(self, name: str) -> None:
        try:
            self.place.filesystem.delete_file(f"{self.place.path}/{name}")
        except OSError as error:
            raise unreachable(f"{self.place}/{name}", error) from error


class PartWriter:
    """Gathers answers, and writes a part when there are many or the last one is a while ago.

    Arguments
    ---------
    output : ScreenOutput
    tables : Tables
    seconds : float
        From one part to the next.

    Attributes
    ----------
    counts : collections.Counter
        Of ``recordings``, ``segments`` and ``bad`` that were added, and of recordings that are ``uncertain`` and
        ``unlike_training``.
    """

    def __init__(self, output: ScreenOutput, tables: Tables, seconds: float):
        self._output, self._tables, self._seconds = output, tables, seconds
        self._waiting: list[pa.Table] = []
        self._segments = 0
        self._since = time.monotonic()
        self.counts: Counter[str] = Counter()

    def add(self, answers: pa.Table) -> None:
        """Take answers, as workers return them."""
        import pyarrow.compute as pc

        rows, recordings, bad = self._tables.split(answers)
        self.counts.update(recordings=len(recordings), segments=len(rows), bad=len(bad))
        for flag in FLAGS:
            self.counts[flag] += pc.sum(recordings[flag]).as_py() or 0
        self._waiting.append(answers)
        self._segments += len(rows)
        if self._segments >= MOST_SEGMENTS or time.monotonic() - self._since >= self._seconds:
            self.write()

    def write(self) -> None:
        """Write what was gathered."""
        import pyarrow as pa

        if self._waiting:
            self._output.write_part(*self._tables.split(pa.concat_tables(self._waiting)))
        self._waiting, self._segments, self._since = [], 0, time.monotonic()


def _parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()
