"""Results as files to download."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lung_srad_plugin.annotations.files import format_annotations
from lung_srad_plugin.inference.result import Classification
from lung_srad_plugin.utils.files import RESULT_MARK


class Download(NamedTuple):
    """A format of results.

    Arguments
    ---------
    title : str
        On the button.
    ending : str
        Of the file.
    write : callable
        From a ``Classification`` to the text of the file.
    """

    title: str
    ending: str
    write: Callable[[Classification], str]


def _annotations(format: str) -> Callable[[Classification], str]:
    return lambda result: format_annotations(result.to_annotations(), format, result.duration)


DOWNLOADS = (
    Download("JSON", ".json", lambda result: result.to_json(indent=2) + "\n"),
    Download("CSV", ".csv", lambda result: result.to_csv()),
    Download("Audacity", ".labels.txt", lambda result: result.to_audacity()),
    Download("Raven", ".selections.txt", _annotations("raven")),
    Download("TextGrid", ".TextGrid", _annotations("textgrid")),
)


def write_downloads(result: Classification, folder: Path) -> list[Path]:
    """Write the files of one recording, in the order of ``DOWNLOADS``.

    Arguments
    ---------
    result : Classification
    folder : Path
        Of this recording alone.
    """
    paths = []
    for format in DOWNLOADS:
        path = folder / f"{Path(result.file).stem}{RESULT_MARK}{format.ending}"
        path.write_text(format.write(result), encoding="utf-8", newline="")
        paths.append(path)
    return paths


def write_table(results: Sequence[Classification], path: Path) -> None:
    """Write the segments of several recordings as one CSV file.

    Arguments
    ---------
    results : sequence of Classification
        At least one.
    path : Path
    """
    text = "".join(result.to_csv(header=index == 0) for index, result in enumerate(results))
    path.write_text(text, encoding="utf-8", newline="")
