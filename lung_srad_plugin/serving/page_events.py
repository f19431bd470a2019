"""What happens on the page of ``lung-srad serve``: files come, a recording is chosen, shown, explained; visits end."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from lung_srad_plugin.analysis.explain import METHODS, check_methods
from lung_srad_plugin.analysis.recording_map import explain_recording
from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.reporting.map_figure import RecordingMap
from lung_srad_plugin.serving.page_downloads import DOWNLOADS, write_downloads, write_table
from lung_srad_plugin.serving.page_html import heading_html, overview_html, recording_html
from lung_srad_plugin.serving.page_picture import draw_picture, write_sound
from lung_srad_plugin.serving.page_recordings import PageRecording, classify_recordings, sort_files
from lung_srad_plugin.serving.page_visitors import VisitorFiles
from lung_srad_plugin.serving.service import ClassificationService
from lung_srad_plugin.serving.upload import file_label

HIDDEN: Literal["hidden"] = "hidden"  # a component that is not seen, but known to the browser
DETAILS = 3 + len(DOWNLOADS)  # heading, sound, picture with tables, files
EXPLAINED_OVERLAP = 2  # windows over each moment of a map: it costs far more for each than an answer does


@dataclass
class Visit:
    """What one visitor has on the page. Events that run at the same time share it.

    Arguments
    ---------
    recordings : tuple of PageRecording
    chosen : Path or None
        The recording whose row was clicked, or that was shown before.
    shown : str
        What ``wanted`` was when the page got its details, or began to.
    spoken : tuple of Path
        The recordings from the microphone.
    uploads : tuple of Path
        Everything that was brought, annotations too.
    made : dict
        Files that the page offers, by what they are of.
    """

    recordings: tuple[PageRecording, ...] = ()
    chosen: Path | None = None
    shown: str = ""
    spoken: tuple[Path, ...] = ()
    uploads: tuple[Path, ...] = ()
    made: dict[str, tuple[Path, ...]] = field(default_factory=dict)

    def find(self) -> int | None:
        """Return the index of what to show: what was chosen if it has a result, else the first that has one."""
        with_result = [index for index, one in enumerate(self.recordings) if one.result is not None]
        chosen = (index for index in with_result if self.recordings[index].path == self.chosen)
        return next(chosen, with_result[0] if with_result else None)

    def wanted(self) -> str:
        """Return what differs where other details are to be shown: the recording and its annotation; blank for none."""
        index = self.find()
        if index is None:
            return ""
        one = self.recordings[index]
        return f"{one.path} {'' if one.truth is None else one.truth.name} {one.truth_problem or ''}"


class PageEvents:
    """What happens on the page.

    Arguments
    ---------
    service : ClassificationService
    folder : Path
        Whose files the page may send.
    """

    def __init__(self, service: ClassificationService, folder: Path):
        self.service = service
        self.folder = folder
        self.files = VisitorFiles()
        self.method = _find_method(service)
        self._drawing = threading.Semaphore(service.limits.at_work)

    def take(
        self, paths: Sequence[str] | None, spoken: str | None, visit: Visit, request: gr.Request
    ) -> Iterator[tuple[str, str]]:
        """Classify what is new among files and recordings from the microphone; what is no longer there is forgotten.

        Arguments
        ---------
        paths : sequence of str or None
            The files that are there now.
        spoken : str or None
            The latest recording from the microphone.
        visit : Visit
        request : gradio.Request

        Yields
        ------
        str, str
            The table of all files, now and then and after each; and what of them is to be shown.
        """
        if spoken is not None and Path(spoken) not in visit.spoken:
            visit.spoken = (*visit.spoken, Path(spoken))
        named = {Path(path): file_label(path) for path in paths or ()}
        said = {path: f"microphone {number}.wav" for number, path in enumerate(visit.spoken, 1)}
        visit.uploads = (*named, *said)
        self.files.keep(_visitor(request), visit.uploads)
        recordings = sort_files(named) + sort_files(said)
        for done in classify_recordings(self.service, recordings, visit.recordings):
            visit.recordings = tuple(done)
            yield _overview(visit)

    def choose(self, visit: Visit, event: gr.EventData) -> tuple[str, str]:
        """Take the recording whose row was clicked, if it has a result; return what ``take`` yields."""
        index = event.index
        known = isinstance(index, int) and 0 <= index < len(visit.recordings)
        if known and visit.recordings[index].result is not None:
            visit.chosen = visit.recordings[index].path
        return _overview(visit)

    def show(self, visit: Visit, pixels: float, request: gr.Request) -> tuple:
        """Return the details of the recording that is to be shown: heading, sound, picture with tables, files."""
        wanted, index = visit.wanted(), visit.find()
        visit.shown = wanted
        if index is None:
            self._offer(visit, request, "details", ())
            return (None,) * DETAILS
        one = visit.recordings[index]
        visit.chosen = one.path
        with _told():
            details, paths = self._make(one, pixels)
        if visit.shown != wanted:  # another row was clicked meanwhile
            _remove(paths)
            return (gr.skip(),) * DETAILS
        self._offer(visit, request, "details", paths)
        return details

    def table(self, visit: Visit, request: gr.Request) -> Any:
        """Return the button for the results of all recordings in one file, hidden where there are less than two."""
        results = [one.result for one in visit.recordings if one.result is not None]
        paths: tuple[Path, ...] = ()
        if len(results) > 1:
            paths = (Path(tempfile.mkdtemp(dir=self.folder)) / "recordings.lung-srad.csv",)
            write_table(results, paths[0])
        self._offer(visit, request, "table", paths)
        return gr.DownloadButton(value=str(paths[0]) if paths else None, visible=True if paths else HIDDEN)

    def explain(self, visit: Visit, pixels: float) -> Any:
        """Return the recording that is shown with a map of where its decisions come from."""
        index, shown = visit.find(), visit.shown
        if index is None or self.method is None:
            return gr.skip()
        one = visit.recordings[index]
        source, method, classifier = audio_source(one.path, name=one.name), self.method, self.service.classifier
        hop = classifier.select_rule().window / EXPLAINED_OVERLAP

        def work(check: Callable[..., None]) -> RecordingMap:
            return explain_recording(classifier, source, hop=hop, method=method, progress=check)

        with _told():
            _check_there(one)
            explanation = self.service.run(lambda: self.service.submit(work))
            html = self._draw(one, pixels, explanation)
        return html if visit.shown == shown else gr.skip()

    def leave(self, request: gr.Request) -> None:
        """Remove a visitor's files."""
        self.files.remove(_visitor(request))

    def _make(self, one: PageRecording, pixels: float) -> tuple[tuple, tuple[Path, ...]]:
        """Return the details of a recording, and the files among them."""
        assert one.result is not None
        _check_there(one)
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        sound = folder / "sound.flac"
        write_sound(one.path, sound)
        downloads = write_downloads(one.result, folder)
        heading = heading_html(one, self.service.classifier.uncertain_below)
        details = (heading, str(sound), self._draw(one, pixels), *map(str, downloads))
        return details, (sound, *downloads)

    def _draw(self, one: PageRecording, pixels: float, explanation: RecordingMap | None = None) -> str:
        assert one.result is not None
        events = () if one.truth is None else one.truth.events
        with self._drawing:
            picture = draw_picture(one.result, one.path, one.name, int(pixels or 0), events, explanation)
        return recording_html(one, picture)

    def _offer(self, visit: Visit, request: gr.Request, what: str, paths: tuple[Path, ...]) -> None:
        """Take files in the place of earlier ones, which are removed."""
        visit.made[what] = paths
        self.files.keep(_visitor(request), paths)
        self.files.remove(_visitor(request), but={*visit.uploads, *chain(*visit.made.values())})


def _find_method(service: ClassificationService) -> str | None:
    """Return the first method of explanation that suits the model and is installed; None where there is none."""
    for method in METHODS:
        with contextlib.suppress(LungSRADError):
            check_methods([method], service.classifier.mods.embedding_model)
            return method
    return None


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tell a visitor what went wrong, instead of showing a page that does not fit."""
    try:
        yield
    except LungSRADError as error:
        raise gr.Error(str(error), print_exception=False) from None


def _overview(visit: Visit) -> tuple[str, str]:
    return overview_html(visit.recordings, visit.find()), visit.wanted()


def _check_there(recording: PageRecording) -> None:
    if not recording.path.is_file():
        raise LungSRADError(f"{recording.name}: was removed, as it was not used for long; drop it again")


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _visitor(request: gr.Request) -> str:
    return str(request.session_hash)
