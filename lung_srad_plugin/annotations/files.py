"""Annotation files: the format recognised, read to events, written from events, and found beside a recording."""

from collections.abc import Sequence
from pathlib import Path

from lung_srad_plugin.annotations.audacity import format_audacity, parse_audacity
from lung_srad_plugin.annotations.classes import map_to_classes
from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.annotations.raven import format_raven, is_raven, parse_raven
from lung_srad_plugin.annotations.textgrid import format_textgrid, parse_textgrid
from lung_srad_plugin.datasets.icbhi import annotation as icbhi
from lung_srad_plugin.datasets.problems import Problem, raise_problems
from lung_srad_plugin.datasets.sprsound import annotation as sprsound
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import findings_of
from lung_srad_plugin.utils.files import write_together

# Formats that are written, with what their files end in. "a.txt" would be the ICBHI annotation of "a.wav".
WRITTEN = {"icbhi": ".txt", "audacity": ".txt", "raven": ".selections.txt", "textgrid": ".TextGrid"}
FORMATS = (*WRITTEN, "sprsound")
_ICBHI_FIELDS = ("start", "stop", "crackle", "wheeze")
_KNOWN = (
    "lines of start, end and label with tabs between (Audacity) or of start, stop, crackle and wheeze (ICBHI), a "
    "selection table of Raven with its header, a TextGrid of Praat, or JSON of SPRSound"
)
_WITH_FREQUENCIES = ("audacity", "raven")
# What follows the name of a recording, without its ending, in the names of its annotations.
BESIDE = (
    ".txt", ".TextGrid", ".json", ".labels.txt", ".raven.txt", ".selections.txt", ".Table.1.selections.txt",
)  # fmt: skip


def read_annotations(path: str | Path, format: str | None = None) -> list[AnnotatedEvent]:
    """Return the events of an annotation file.

    Arguments
    ---------
    path : str or Path
        A text file of one of ``FORMATS``: of ICBHI, whose labels are the four classes; of Audacity; a selection table
        of Raven; a Praat TextGrid, all tiers of it; JSON of SPRSound, whose labels are its event types.
    format : str, optional
        One of ``FORMATS``; recognised by content and ending where left out.

    Returns
    -------
    list of AnnotatedEvent
        In the order of the file.

    Raises
    ------
    LungSRADError
        Where the file is absent or of no known format, or with everything in it that is no event.

    Example
    -------
    >>> path = getfixture("tmp_path") / "breath.txt"
    >>> _ = path.write_text("0.5\\t2.0\\twheeze\\n")
    >>> read_annotations(path)
    [AnnotatedEvent(start_s=0.5, end_s=2.0, label='wheeze', low_hz=None, high_hz=None)]
    """
    events, problems = parse_annotations(path, format)
    raise_problems(problems, str(path))
    return events


def parse_annotations(path: str | Path, format: str | None = None) -> tuple[list[AnnotatedEvent], list[Problem]]:
    """Return the events of an annotation file and the problems of what is none; see ``read_annotations``.

    Raises
    ------
    LungSRADError
        Where the file is absent or no text.
    """
    _check_format(format, FORMATS)
    path = Path(path)
    if not path.is_file():
        raise LungSRADError(f"{path}: no such annotation")
    text = _decode(path)
    if not text.strip():
        raise LungSRADError(
            f"{path}: no cycles or events, the file is empty; expected annotated events; annotate the recording, or "
            "delete the file"
        )
    if format is None:
        format = recognise_format(text, path.suffix)
        if format == "icbhi" and not any(len(line.split()) == len(_ICBHI_FIELDS) for line in text.splitlines()):
            first = next(line for line in text.splitlines() if line.strip())
            raise LungSRADError(
                f"{path}: an annotation of no known format, which begins with {first[:60]!r}; expected {_KNOWN}"
            )
    name = str(path)
    if format == "textgrid":
        return parse_textgrid(path, name)
    if format == "sprsound":
        annotation, problems = sprsound.parse_annotation(text, name)
        found = () if annotation is None else annotation.events
        return [AnnotatedEvent(event.start, event.stop, event.type) for event in found], problems
    if format == "icbhi":
        cycles, problems = icbhi.parse_annotation(text, name)
        return [AnnotatedEvent(cycle.start, cycle.stop, cycle.label) for cycle in cycles], problems
    return (parse_raven if format == "raven" else parse_audacity)(text, name)


def _check_format(format, known):
    if format is not None and format not in known:
        raise LungSRADError(f"format={format!r}; expected one of {', '.join(known)}")


def _decode(path):
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # Praat writes both
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        if b"\0" not in content:
            raise LungSRADError(
                f"{path}: not written in UTF-8 or UTF-16; save it as UTF-8 in the program that wrote it or an editor"
            ) from None
        text = "\0"
    if "\0" in text:
        raise LungSRADError(f"{path}: not a text file; expected an annotation of one of {', '.join(FORMATS)}")
    return text


def recognise_format(text: str, suffix: str = "") -> str:
    r"""Return the format that an annotation has by its content, or else by its ending.

    What is none of the others is taken as ICBHI's, whose reader says what is wrong with it.

    Arguments
    ---------
    text : str
    suffix : str
        Of the file's name.

    Example
    -------
    >>> [recognise_format(text) for text in ("0.5\t2.0\twheeze", "0.5\t2.0\t0\t1", 'File type = "ooTextFile"')]
    ['audacity', 'icbhi', 'textgrid']
    """
    first = next((line for line in text.splitlines() if line.strip()), "")
    if suffix.lower() == ".textgrid" or "ooTextFile" in first:
        return "textgrid"
    if suffix.lower() == ".json" or first.lstrip().startswith("{"):
        return "sprsound"
    if is_raven(first):
        return "raven"
    return "audacity" if first.startswith("\\") or len(first.split("\t")) in (2, 3) else "icbhi"


def format_annotations(events: Sequence[AnnotatedEvent], format: str, duration: float | None = None) -> str:
    """Return the text of an annotation file.

    Arguments
    ---------
    events, format, duration
        As for ``write_annotations``.

    Raises
    ------
    LungSRADError
        As of ``write_annotations``.

    Example
    -------
    >>> format_annotations([AnnotatedEvent(0.5, 2.0, "wheeze")], "icbhi")
    '0.500\\t2.000\\t0\\t1\\n'
    """
    _check_format(format, tuple(WRITTEN))
    bounded = sum(event.low_hz is not None or event.high_hz is not None for event in events)
    if bounded and format not in _WITH_FREQUENCIES:
        raise LungSRADError(
            f"{bounded} events have frequency bounds, which {format} cannot hold; write "
            f"{' or '.join(_WITH_FREQUENCIES)}, or leave the bounds out"
        )
    if format == "textgrid":
        return format_textgrid(events, duration)
    if format == "icbhi":
        return _format_icbhi(events)
    return format_raven(events) if format == "raven" else format_audacity(events)


def write_annotations(
    events: Sequence[AnnotatedEvent], path: str | Path, format: str, duration: float | None = None
) -> None:
    """Write events to an annotation file.

    Arguments
    ---------
    events : sequence of AnnotatedEvent
        For ICBHI with labels of the four classes in a usual spelling, and without overlaps.
    path : str or Path
        What another program wrote is not overwritten.
    format : str
        ``"icbhi"``, ``"audacity"``, ``"raven"`` or ``"textgrid"``.
    duration : float, optional
        Of the recording in seconds, which a TextGrid states; the end of the last event where left out.

    Raises
    ------
    LungSRADError
        Where the format cannot hold the events, or the file cannot be written.

    Example
    -------
    >>> path = getfixture("tmp_path") / "breath.selections.txt"
    >>> write_annotations([AnnotatedEvent(0.5, 2.0, "wheeze", 200.0, 450.0)], path, "raven")
    >>> read_annotations(path)[0].high_hz
    450.0
    """
    write_together({path: format_annotations(events, format, duration)})


def _format_icbhi(events):
    lines, last = [], 0.0
    for event in sorted(map_to_classes(events, "icbhi"), key=lambda event: event.start_s):
        start, end = round(event.start_s, 6), round(event.end_s, 6)
        if start < last:
            raise LungSRADError(
                f"the event from {start:g} to {end:g} s starts before the one before it ends, at {last:g} s; cycles of "
                "ICBHI do not overlap"
            )
        last = end
        lines.append("\t".join([_milliseconds(start), _milliseconds(end), *map(str, findings_of(event.label))]) + "\n")
    return "".join(lines)


def _milliseconds(time):
    """A time with the three decimals that ICBHI's files have, or as many of six as it needs."""
    whole, _, decimals = f"{time:.6f}".partition(".")
    return f"{whole}.{decimals[:3]}{decimals[3:].rstrip('0')}"


def find_annotation(recording: str | Path) -> Path:
    """Return the annotation that lies beside a recording: of the same name, in any format.

    Beside ``a.wav`` that is ``a.txt``, ``a.selections.txt``, ``a.Table.1.selections.txt``, ``a.raven.txt``,
    ``a.labels.txt``, ``a.TextGrid`` or ``a.json``.

    Arguments
    ---------
    recording : str or Path

    Returns
    -------
    Path
        Where there is none, that of an ICBHI annotation, so that reading it says that it is absent.

    Raises
    ------
    LungSRADError
        Where there are several.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("a.wav", "a.TextGrid", "a.b.txt"):
    ...     (folder / name).touch()
    >>> find_annotation(folder / "a.wav").name
    'a.TextGrid'
    """
    recording = Path(recording)
    places = (recording.with_name(f"{recording.stem}{ending}") for ending in BESIDE)
    found = [path for path in places if path.is_file()]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise LungSRADError(f"{recording}: several annotations lie beside it: {names}; leave one of them there")
    return found[0] if found else recording.with_suffix(".txt")
