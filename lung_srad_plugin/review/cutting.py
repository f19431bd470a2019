"""From selected candidates to a folder of segments: a clip of each, and their table when all clips are there."""

from collections.abc import Callable, Sequence
from pathlib import Path

from lung_srad_plugin.audio.clips import cut_clip
from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.review.candidates import Candidate, confidence_of
from lung_srad_plugin.review.segments_table import CLIPS, TABLE, CutSegment, format_segments
from lung_srad_plugin.utils.files import refuse_foreign_files, write_together
from lung_srad_plugin.utils.text import printable


def refuse_finished_folder(folder: Path) -> None:
    """Refuse a folder that has segments already: labels that a person gave them would belong to nothing.

    Raises
    ------
    LungSRADError
    """
    if (folder / TABLE).exists():
        raise LungSRADError(f"{printable(folder / TABLE)}: already there; choose another folder for these segments")


def segment_name(recording: str, start: float, end: float) -> str:
    """Return the name of a segment: its recording and its times in seconds, which sort as text.

    Example
    -------
    >>> segment_name("101_1b1", 4.0, 12.5)
    '101_1b1_0004.000-0012.500'
    """
    return f"{recording}_{start:08.3f}-{end:08.3f}"


def cut_candidates(
    candidates: Sequence[Candidate],
    names: dict[Path, str],
    folder: Path,
    context: float = 0.0,
    format: str = "wav",
    progress: Callable[[], object] | None = None,
) -> list[CutSegment]:
    """Write a clip of each candidate, and then the table.

    A folder without a table was left by a run that was stopped: running it again writes the same files.

    Arguments
    ---------
    candidates : sequence of Candidate
    names : dict
        By recording, what its segments are called.
    folder : Path
    context : float
        Seconds before and after each segment that its clip has too, as far as the recording goes.
    format : str
        As for ``cut_clip``.
    progress : callable, optional
        Called after each clip.

    Returns
    -------
    list of CutSegment

    Raises
    ------
    LungSRADError
        Where there is a table already, a recording cannot be read, or a file of somebody else is there.
    """
    refuse_finished_folder(folder)
    rows = [_row(candidate, names[candidate.recording], context, format) for candidate in candidates]
    text = format_segments(rows)
    refuse_foreign_files(folder / row.clip for row in rows)
    for row in rows:
        content = cut_clip(audio_source(Path(row.recording)), row.clip_start, row.clip_end, format)
        write_together({folder / row.clip: content})
        if progress is not None:
            progress()
    write_together({folder / TABLE: text})
    return rows


def _row(candidate, name, context, format):
    segment = candidate.segment
    with audio_source(candidate.recording).open_audio() as file:
        length = file.frames / file.samplerate
    end = min(segment.end, length)
    identifier = segment_name(name, segment.start, end)
    return CutSegment(
        ID=identifier,
        clip=f"{CLIPS}/{identifier}.{format}",
        recording=str(candidate.recording),
        start=round(segment.start, 6),
        end=round(end, 6),
        clip_start=round(max(0.0, segment.start - context), 6),
        clip_end=round(min(length, end + context), 6),
        predicted=segment.label,
        confidence=round(confidence_of(segment), 6),
        uncertain=segment.uncertain,
        unlike_training_score=None
        if segment.unlike_training_score is None
        else round(segment.unlike_training_score, 6),
        unlike_training=segment.unlike_training,
        patient=candidate.patient,
        annotated=candidate.annotated,
        model=candidate.model,
        probabilities={label: round(value, 6) for label, value in segment.probabilities.items()},
    )
