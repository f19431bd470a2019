"""From what a visitor dropped to recordings with their results, each with its annotation or with what is wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from pathlib import Path

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.result import Classification
from lung_srad_plugin.serving.page_truth import Truth, belongs_to, is_annotation, read_truth
from lung_srad_plugin.serving.service import ClassificationService

logger = logging.getLogger(__name__)
STATE_SECONDS = 1.0  # between two looks how far a recording is


@dataclass(frozen=True)
class PageRecording:
    """A file that was dropped, and what came of it.

    Arguments
    ---------
    name : str
        As the visitor calls it.
    path : Path
        Where it lies meanwhile.
    result : Classification or None
        None where it waits, or failed.
    problem : str or None
        What is wrong with it, and the cure.
    truth : Truth or None
        The annotation that was dropped with it.
    truth_problem : str or None
        What is wrong with the annotation.
    share : float or None
        How much of it is classified, from 0 to 1; None where it waits, or is done.
    """

    name: str
    path: Path
    result: Classification | None = None
    problem: str | None = None
    truth: Truth | None = None
    truth_problem: str | None = None
    share: float | None = None


def sort_files(files: Mapping[Path, str]) -> list[PageRecording]:
    """Return the recordings among files, each with its annotation; an annotation without a recording is a problem.

    An annotation belongs to the recording of its name. Where one recording and one annotation are all there is, they
    belong together whatever their names.

    Arguments
    ---------
    files : dict
        Path to name.

    Example
    -------
    >>> [(one.name, one.problem) for one in sort_files({Path("1"): "a.wav", Path("2"): "b.wav", Path("3"): "c.txt"})]
    [('a.wav', None), ('b.wav', None), ('c.txt', 'c.txt: an annotation without its recording; ...')]
    """
    recordings = [PageRecording(name, path) for path, name in files.items() if not is_annotation(name)]
    annotations = [(path, name) for path, name in files.items() if is_annotation(name)]
    alone = len(recordings) == len(annotations) == 1
    left_over = []
    for path, name in annotations:
        index = next((i for i, one in enumerate(recordings) if alone or belongs_to(name, one.name)), None)
        if index is None:
            cure = f"drop the recording too, under the same name, such as {Path(name).stem}.wav"
            left_over.append(PageRecording(name, path, problem=f"{name}: an annotation without its recording; {cure}"))
        elif recordings[index].truth is not None or recordings[index].truth_problem is not None:
            problem = f"{name}: a second annotation of {recordings[index].name}; drop one of the two"
            left_over.append(PageRecording(name, path, problem=problem))
        else:
            recordings[index] = _with_truth(recordings[index], path, name)
    return recordings + left_over


def _with_truth(recording: PageRecording, path: Path, name: str) -> PageRecording:
    try:
        return replace(recording, truth=read_truth(path, name))
    except LungSRADError as error:
        return replace(recording, truth_problem=str(error))


def classify_recordings(
    service: ClassificationService, recordings: Sequence[PageRecording], done: Sequence[PageRecording] = ()
) -> Iterator[list[PageRecording]]:
    """Classify recordings one after the other; yield all of them before the first, now and then, and after each.

    Arguments
    ---------
    service : ClassificationService
    recordings : sequence of PageRecording
    done : sequence of PageRecording
        Of an earlier call; what was classified there is not classified again.
    """
    known = {one.path: one for one in done}
    all_of_them = [_take_over(one, known.get(one.path)) for one in recordings]
    yield list(all_of_them)
    for index, one in enumerate(all_of_them):
        if one.result is None and one.problem is None:
            for state in _classify(service, one):
                all_of_them[index] = state
                yield list(all_of_them)


def _take_over(recording: PageRecording, earlier: PageRecording | None) -> PageRecording:
    if earlier is None or earlier.result is None or recording.problem is not None:
        return recording
    return replace(recording, result=earlier.result)


def _classify(service: ClassificationService, recording: PageRecording) -> Iterator[PageRecording]:
    """Yield a recording with how far it is, now and then, and at the end with its result or its problem."""
    share = 0.0

    def advance(done: int, total: int) -> None:
        nonlocal share
        share = done / total

    try:
        with service.place():
            job = service.submit_recording(recording.path, recording.name, progress=advance)
            try:
                while not wait([job.future], timeout=STATE_SECONDS).done:
                    if not recording.path.is_file():  # its visitor has left
                        raise LungSRADError(f"{recording.name}: was removed; drop it again")
                    yield replace(recording, share=share if job.future.running() else None)
                result = job.future.result()
            finally:
                job.stop()
        yield replace(recording, result=result)
    except LungSRADError as error:
        yield replace(recording, problem=str(error))
    except OSError as error:
        problem = f"{recording.name}: cannot be read ({error.strerror or error}); drop it again"
        yield replace(recording, problem=problem)
    except Exception as error:  # the other recordings still get their answers
        logger.error("%s: unexpected error", recording.path, exc_info=error)
        problem = f"{recording.name}: {type(error).__name__} (unexpected; please report it with the recording)"
        yield replace(recording, problem=problem)
