"""A result as the text of a file, in the formats that programs open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lung_srad_plugin.annotations.files import format_annotations
from lung_srad_plugin.errors import LungSRADError

if TYPE_CHECKING:
    from lung_srad_plugin.inference.result import Classification

# By what the name of a file ends in, in small letters; the first that fits counts.
ENDINGS = {
    ".json": "json",
    ".csv": "csv",
    ".selections.txt": "raven",
    ".raven.txt": "raven",
    ".txt": "audacity",
    ".textgrid": "textgrid",
}


def format_result(result: Classification, format: str) -> str:
    """Return the text of a result file.

    Arguments
    ---------
    result : Classification
    format : str
        ``"json"``, ``"csv"``, ``"audacity"``, ``"raven"`` or ``"textgrid"``.

    Example
    -------
    >>> from lung_srad_plugin.inference.result import Classification, make_segment, summarize
    >>> labels = ("normal", "abnormal")
    >>> segments = (make_segment(0, 4, labels, (0.75, 0.25)),)
    >>> result = Classification("a.wav", 4.0, 8000, 1, "demo", "timeline", segments, summarize(segments, labels))
    >>> format_result(result, "audacity")
    '0.000\\t4.000\\tnormal 0.75\\n'
    """
    if format == "json":
        return result.to_json(indent=2) + "\n"
    if format == "csv":
        return result.to_csv()
    if format == "audacity":
        return result.to_audacity()
    return format_annotations(result.to_annotations(), format, result.duration)


def format_of_name(path: Path) -> str:
    """Return the format of a result file by its name.

    Raises
    ------
    LungSRADError
        Where the ending says none.

    Example
    -------
    >>> format_of_name(Path("a.TextGrid")), format_of_name(Path("a.selections.txt")), format_of_name(Path("a.txt"))
    ('textgrid', 'raven', 'audacity')
    """
    name = path.name.lower()
    for ending, format in ENDINGS.items():
        if name.endswith(ending):
            return format
    raise LungSRADError(f"{path}: the ending says no format; expected {', '.join(ENDINGS)}")
