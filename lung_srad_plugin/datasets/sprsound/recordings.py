"""Pairs SPRSound recordings with their annotations and examines both, without decoding any audio."""

from dataclasses import dataclass
from pathlib import Path

from lung_srad_plugin.datasets.folder import audio_seconds, equal_files
from lung_srad_plugin.datasets.names import index_by_name
from lung_srad_plugin.datasets.problems import Problem
from lung_srad_plugin.datasets.sprsound.annotation import Annotation, parse_annotation
from lung_srad_plugin.datasets.sprsound.layout import Layout
from lung_srad_plugin.datasets.sprsound.recording_name import FORM, RecordingName, parse_name
from lung_srad_plugin.utils.progress import track

PARTS = "train (train2022_json), test intra (intra_test_json), test inter (inter_test_json), test2023_json and later"


@dataclass(frozen=True)
class Recording:
    """A recording that can be used.

    Arguments
    ---------
    id : str
        Name of its files without their ending.
    name : RecordingName
        The parts of that name.
    part : str
        ``"train"``, ``"test_intra"``, ``"test_inter"``, or ``"test_2023"`` and its like.
    audio : pathlib.Path
    seconds : float
        Length of the audio.
    annotation : Annotation
    """

    id: str
    name: RecordingName
    part: str
    audio: Path
    seconds: float
    annotation: Annotation


def read_recordings(
    layout: Layout, quiet: bool = False
) -> tuple[dict[str, Recording], list[tuple[str, str]], list[Problem]]:
    """Examine all recordings and annotations of a data folder.

    Arguments
    ---------
    layout : Layout
        Where the files are.
    quiet : bool
        Show no progress bar.

    Returns
    -------
    recordings : dict
        Name to Recording: those that can be used.
    same_audio : list of (str, str)
        Recordings of train and of the intra test that are the same file. The published data have one such pair; both
        are kept, because the official parts are what scores are compared on.
    problems : list of Problem
        What is left out of ``recordings``, and why.
    """
    audio, doubtful, problems = index_by_name(
        layout.audio, layout.root, _name_of, FORM, "recording", lambda one, other: one.suffix == other.suffix
    )
    annotations, more_doubtful, found = index_by_name(
        *(layout.annotations, layout.root, _name_of, FORM, "annotation"),
        lambda one, other: layout.part_of(one) == layout.part_of(other),
    )
    problems += found
    for stem in sorted(audio.keys() - annotations.keys()):
        message = f"recording without its annotation {stem}.json"
        group = "{count} recordings have no .json of their name"
        problems.append(Problem(layout.relative(audio[stem]), message, left_out="recording", group=group))
    recordings = {}
    for stem, annotation in track(sorted(annotations.items()), "Reading recordings", show=not quiet):
        recording, found = _read(layout, stem, annotation, audio.get(stem))
        problems += found
        if recording and stem not in doubtful | more_doubtful:
            recordings[stem] = recording
    same_audio, found = _same_audio(layout, recordings)
    return recordings, same_audio, problems + found


def _name_of(path):
    return path.stem if parse_name(path.stem) else None


def _read(layout, stem, path, audio):
    """A recording, or ``None``, and the problems of its files."""
    file, problems, seconds = layout.relative(path), [], None
    part = layout.part_of(path)
    if part is None:
        message = f"no folder above it states its part; expected {PARTS}"
        problems.append(Problem(file, message, left_out="recording"))
    if audio is None:
        message, group = (
            f"annotation without its recording {stem}.wav or .flac",
            "{count} annotations have no recording",
        )
        problems.append(Problem(file, message, left_out="recording", group=group))
    else:
        seconds, fault = audio_seconds(audio)
        if fault:
            problems.append(Problem(layout.relative(audio), fault, left_out="recording"))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None, [*problems, Problem(file, "is not text in UTF-8", left_out="recording")]
    except OSError as error:
        return None, [*problems, Problem(file, f"cannot be opened: {error.strerror}", left_out="recording")]
    annotation, found = parse_annotation(text, file, seconds)
    if problems or annotation is None:
        return None, problems + found
    return Recording(stem, parse_name(stem), part, audio, seconds, annotation), found


def _same_audio(layout, recordings):
    """The pairs of train and intra test that are one file; equal files elsewhere are left out as problems."""
    by_path = {recording.audio: recording for recording in recordings.values()}
    pairs, problems = [], []
    for group in equal_files(by_path):
        first, *others = sorted((by_path[path] for path in group), key=lambda recording: recording.part, reverse=True)
        if len(others) == 1 and (first.part, others[0].part) == ("train", "test_intra"):
            pairs.append((first.id, others[0].id))
            continue
        for recording in (first, *others):
            del recordings[recording.id]
        for other in others:
            message = f"duplicate: {layout.relative(first.audio)} has the same content under another name"
            text = "{count} recordings have the content of another recording"
            problems.append(Problem(layout.relative(other.audio), message, left_out="both recordings", group=text))
    return pairs, problems
