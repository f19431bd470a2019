"""Results as files to download."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lung_srad_plugin.inference.result import Classification
from lung_srad_plugin.inference.result_formats import format_result
from lung_srad_plugin.utils.files import RESULT_MARK


class Download(NamedTuple):
    """A format of results.

    Arguments
    ---------
    title : str
        On the button.
    ending : str
        Of the file.
    format : str
        As of ``format_result``.
    """

    title: str
    ending: str
    format: str


DOWNLOADS = (
    Download("JSON", ".json", "json"),
    Download("CSV", ".csv", "csv"),
    Download("Audacity", ".labels.txt", "audacity"),
    Download("Raven", ".selections.txt", "raven"),
    Download("TextGrid", ".TextGrid", "textgrid"),
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
    for one in DOWNLOADS:
        path = folder / f"{Path(result.file).stem}{RESULT_MARK}{one.ending}"
        path.write_text(format_result(result, one.format), encoding="utf-8", newline="")
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
