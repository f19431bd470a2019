"""One row for each recording and for each patient, from the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lung_srad_plugin.archive.journal import Entry, read_entries
from lung_srad_plugin.inference.result import Classification, make_segment
from lung_srad_plugin.inference.rows import (
    Column,
    Value,
    arrow_schema,
    class_columns,
    csv_header,
    csv_lines,
    import_pyarrow,
    json_lines,
    origin_columns,
    reliability_columns,
)
from lung_srad_plugin.utils.files import write_safely

CHUNK = 1000  # rows that are written at once


def recording_columns(labels: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns of the table of recordings.

    Example
    -------
    >>> [column.name for column in recording_columns(("normal", "abnormal"))][:4]
    ['file', 'patient', 'duration', 'classified']
    """
    return (
        Column("file", "text", "path of the recording, as it was given or found"),
        Column("patient", "text", "whose recording it is", "where nothing says so"),
        Column("duration", "number", "its length in seconds"),
        Column("classified", "number", "seconds that segments cover, what overlaps counted twice"),
        Column("sample_rate", "count", "its own, in Hz"),
        Column("channels", "count", "its number of channels, which were averaged"),
        Column("segments", "count", "rows that it has in the table of segments"),
        *(column for column in class_columns(labels, "the recording") if column.name != "called_abnormal"),
        Column("highest_abnormal", "number", "the highest `abnormal` of its segments"),
        Column("segments_called_abnormal", "count", "how many reach the threshold", "without `--sensitivity`"),
        *reliability_columns("the recording"),
        Column("flaws", "text", "what the input checks found, such as `clipping`, with spaces between"),
        *origin_columns(),
    )


def patient_columns(labels: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns of the table of patients."""
    return (
        Column("patient", "text", "the patient"),
        Column("recordings", "count", "how many of the patient's recordings were classified"),
        Column("classified", "number", "seconds that their segments cover"),
        *(column for column in class_columns(labels, "the patient") if column.name != "called_abnormal"),
        Column("highest_abnormal", "number", "the highest `abnormal` of all segments"),
        Column("recordings_abnormal", "count", f"recordings whose class is not {labels[0]}"),
        Column("recordings_unlike_training", "count", "recordings that are unlike the training sounds"),
    )


def summarize_recording(result: Classification) -> dict[str, Any]:
    """Return the row of a recording, by column: its summary, which is the mean of its segments by their length."""
    summary = result.summary
    called = result.operating_point is not None
    return {
        "file": result.file,
        "patient": None,
        "duration": result.duration,
        "classified": sum(segment.end - segment.start for segment in result.segments),
        "sample_rate": result.sample_rate,
        "channels": result.channels,
        "segments": len(result.segments),
        **_classes(summary),
        "highest_abnormal": max(segment.abnormal for segment in result.segments),
        "segments_called_abnormal": sum(map(result.called_abnormal, result.segments)) if called else None,
        "confidence": summary.confidence,
        "uncertain": summary.uncertain,
        "unlike_training_score": summary.unlike_training_score,
        "unlike_training": summary.unlike_training,
        "flaws": " ".join(sorted({flaw.kind for flaw in result.flaws})),
        "kind": result.kind,
        "model": result.model,
        "trained_on": "SYNTHETIC sounds" if result.trained_on_synthetic else None,
    }


@dataclass
class PatientMean:
    """What is known of a patient: the mean of the recordings, each counting by the length of its segments.

    It is the rule by which segments make the summary of a recording: so it is the mean of all the patient's segments.

    Arguments
    ---------
    labels : sequence of str
    """

    labels: Sequence[str]
    recordings: int = 0
    classified: float = 0.0
    masses: list[float] = field(default_factory=list)
    highest: float = 0.0
    abnormal: int = 0
    unlike: int = 0

    def add(self, row: dict[str, Any]) -> None:
        """Take the row of the next recording."""
        masses = [row["classified"] * row[f"p_{label}"] for label in self.labels]
        self.masses = [before + mass for before, mass in zip(self.masses or [0.0] * len(masses), masses, strict=True)]
        self.recordings += 1
        self.classified += row["classified"]
        self.highest = max(self.highest, row["highest_abnormal"])
        self.abnormal += row["label"] != self.labels[0]
        self.unlike += bool(row["unlike_training"])

    def row(self, patient: str) -> dict[str, Value]:
        """Return the row of the patient, by column."""
        mean = make_segment(0.0, self.classified, self.labels, [mass / self.classified for mass in self.masses])
        return {
            "patient": patient,
            "recordings": self.recordings,
            "classified": self.classified,
            **_classes(mean),
            "highest_abnormal": self.highest,
            "recordings_abnormal": self.abnormal,
            "recordings_unlike_training": self.unlike,
        }


def latest_entries(journal: Path) -> Iterator[Entry]:
    """Yield the line of each recording, the latest where one that failed was tried again, in the order of the rows."""
    last = {hash(entry.file): index for index, (entry, _) in enumerate(read_entries(journal))}
    for index, (entry, _) in enumerate(read_entries(journal)):
        if last[hash(entry.file)] == index:
            yield entry


def write_summaries(
    journal: Path,
    labels: Sequence[str],
    recordings: Path,
    patients: Path,
    find_patient: Callable[[str], str | None] | None,
) -> int:
    """Write the table of recordings, and that of patients where they are known.

    Arguments
    ---------
    journal : Path
    labels : sequence of str
    recordings, patients : Path
        Both .csv, .jsonl or .parquet.
    find_patient : callable or None

    Returns
    -------
    int
        Recordings without a patient; all of them where there is no ``find_patient``.
    """
    means: dict[str, PatientMean] = {}
    unknown = 0

    def rows() -> Iterator[dict[str, Value]]:
        nonlocal unknown
        for entry in latest_entries(journal):
            if entry.error is not None:
                continue
            patient = None if find_patient is None else find_patient(entry.file)
            unknown += patient is None
            if patient is not None:
                means.setdefault(patient, PatientMean(labels)).add(entry.summary)
            yield {**entry.summary, "patient": patient}

    write_table(recordings, recording_columns(labels), rows())
    if find_patient is not None:
        by_name = sorted(means.items())
        write_table(patients, patient_columns(labels), (mean.row(patient) for patient, mean in by_name))
    return unknown


def write_table(path: Path, columns: Sequence[Column], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows to a .csv, .jsonl or .parquet file, a thousand at a time."""
    with write_safely(path) as beside:
        if path.suffix.lower() == ".parquet":
            arrow, schema = import_pyarrow(), arrow_schema(columns)
            with arrow.parquet.ParquetWriter(beside, schema) as writer:
                for chunk in _chunks(rows, 100 * CHUNK):
                    writer.write_table(arrow.Table.from_pylist(chunk, schema=schema))
            return
        is_csv = path.suffix.lower() == ".csv"
        with beside.open("w", encoding="utf-8", newline="") as file:
            file.write(csv_header(columns) if is_csv else "")
            for chunk in _chunks(rows, CHUNK):
                file.write(csv_lines(chunk) if is_csv else json_lines(chunk))


def _chunks(rows, size):
    chunk = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _classes(segment):
    probabilities = {f"p_{label}": value for label, value in segment.probabilities.items()}
    findings = {"any_crackle": segment.crackle, "any_wheeze": segment.wheeze, "abnormal": segment.abnormal}
    return {"label": segment.label, **probabilities, **findings}
