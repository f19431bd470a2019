"""A result that grows while sound comes, and is put in its place as a whole at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.result_formats import format_of_name, format_result
from lung_srad_plugin.inference.rows import Value, csv_lines
from lung_srad_plugin.utils.files import explain_write_errors, refuse_foreign_files, write_together

if TYPE_CHECKING:
    from lung_srad_plugin.inference.result import Classification, Segment

PART = ".part.csv"  # behind the name of the result


class GrowingFile:
    """A result file; until the end its segments stand in ``NAME.part.csv`` beside it, each as soon as it is final.

    Where the program is killed, that file stays.

    Arguments
    ---------
    path : Path
        Its ending says the format: ``.csv``, ``.json``, ``.txt`` for Audacity, ``.selections.txt`` for Raven,
        ``.TextGrid``.

    Raises
    ------
    LungSRADError
        Where the ending says no format, or a file is there that lung-srad did not write.
    """

    def __init__(self, path: Path):
        self.path, self.part = path, path.with_name(path.name + PART)
        self.format = format_of_name(path)
        refuse_foreign_files([path])
        if self.part.exists():
            raise LungSRADError(
                f"{self.part}: left by a run that was stopped before its end; move it away, it holds what was heard"
            )
        with explain_write_errors(self.part):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.part.open("x", encoding="utf-8", newline="")
        self._begun = False

    def add(self, segments: Sequence[Segment]) -> None:
        """Write segments that are final."""
        rows: list[dict[str, Value]] = []
        for segment in segments:
            values: dict[str, Value] = {"start": segment.start, "end": segment.end, "label": segment.label}
            values |= {f"p_{label}": value for label, value in segment.probabilities.items()}
            rows.append({**values, "unlike_training": segment.unlike_training})
        if not rows:
            return
        with explain_write_errors(self.part):
            if not self._begun:
                self._file.write(csv_lines([{name: name for name in rows[0]}]))
                self._begun = True
            self._file.write(csv_lines(rows))
            self._file.flush()

    def finish(self, result: Classification) -> None:
        """Write the whole result, and remove the part."""
        write_together({self.path: format_result(result, self.format)})
        self.close()
        self.part.unlink()

    def close(self) -> None:
        """Close the part, which stays."""
        self._file.close()
