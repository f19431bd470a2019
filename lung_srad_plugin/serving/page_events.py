"""What happens on the page of ``lung-srad serve``: files come, a recording is chosen, shown, explained; visits end."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
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
EXPLAINED_OVERLAP = 2  # windows over each moment of a map: it costs far more for each than an answer does


@dataclass(frozen=True)
class Visit:
    """What one visitor has on the page.

    Arguments
    ---------
    recordings : tuple of PageRecording
    chosen : int or None
        Index of the recording that is shown.
    spoken : tuple of Path
        The recordings from the microphone.
    uploads : tuple of Path
        Everything that was brought, annotations too.
    """

    recordings: tuple[PageRecording, ...] = ()
    chosen: int | None = None
    spoken: tuple[Path, ...] = ()
    uploads: tuple[Path, ...] = ()


class PageEvents:
    """What happens on the page; the state of a visit is passed in and out.

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

    def take_files(self, paths: Sequence[str] | None, visit: Visit, request: gr.Request) -> Iterator[tuple]:
        """Classify what is new among the files that were dropped; what is no longer among them is forgotten."""
        named = {Path(path): file_label(path) for path in paths or ()}
        yield from self._classify(named, visit, request)

    def take_spoken(self, path: str | None, visit: Visit, request: gr.Request) -> Iterator[tuple]:
        """Classify a recording from the microphone, beside the files."""
        if path is None or Path(path) in visit.spoken:
            yield visit, overview_html(visit.recordings, visit.chosen)
            return
        named = {upload: file_label(str(upload)) for upload in visit.uploads if upload not in visit.spoken}
        yield from self._classify(named, replace(visit, spoken=(*visit.spoken, Path(path))), request)

    def _classify(self, named: dict[Path, str], visit: Visit, request: gr.Request) -> Iterator[tuple]:
        visit = replace(visit, uploads=(*named, *visit.spoken))
        self.files.keep(_visitor(request), visit.uploads)
        said = {path: f"microphone {number}.wav" for number, path in enumerate(visit.spoken, 1)}
        recordings = sort_files(named) + sort_files(said)
        for done in classify_recordings(self.service, recordings, visit.recordings):
            visit = replace(visit, recordings=tuple(done), chosen=_choose(done, visit))
            yield visit, overview_html(visit.recordings, visit.chosen)

    def choose(self, visit: Visit, event: gr.EventData) -> Visit:
        """Take the recording whose row was clicked, if it has a result."""
        index = event.index
        known = isinstance(index, int) and 0 <= index < len(visit.recordings)
        return replace(visit, chosen=index) if known and visit.recordings[index].result is not None else visit

    def show(self, visit: Visit, pixels: float, request: gr.Request) -> tuple:
        """Return everything below the table, of the recording that is chosen; the files shown before are removed."""
        one = None if visit.chosen is None else visit.recordings[visit.chosen]
        overview = overview_html(visit.recordings, visit.chosen)
        visitor = _visitor(request)
        self.files.remove(visitor, but=visit.uploads)
        if one is None or one.result is None:
            return (visit, overview, gr.Column(visible=HIDDEN), *[None] * 3, gr.DownloadButton(visible=HIDDEN),
                    *[None] * len(DOWNLOADS))  # fmt: skip
        with _told(one):
            folder = Path(tempfile.mkdtemp(dir=self.folder))
            sound = folder / "sound.wav"
            write_sound(one.path, sound)
            downloads = write_downloads(one.result, folder)
            results = [each.result for each in visit.recordings if each.result is not None]
            table = folder / "recordings.lung-srad.csv"
            write_table(results, table)
            self.files.keep(visitor, (sound, table, *downloads))
            return (
                visit,
                overview,
                gr.Column(visible=True),
                heading_html(one, self.service.classifier.uncertain_below),
                str(sound),
                self._picture(one, pixels),
                gr.DownloadButton(value=str(table), visible=True if len(results) > 1 else HIDDEN),
                *map(str, downloads),
            )

    def explain(self, visit: Visit, pixels: float) -> Any:
        """Return the recording with a map of where its decisions come from."""
        if visit.chosen is None or self.method is None:
            return gr.skip()
        one = visit.recordings[visit.chosen]
        source, method, classifier = audio_source(one.path, name=one.name), self.method, self.service.classifier
        hop = classifier.select_rule().window / EXPLAINED_OVERLAP

        def work(check: Callable[..., None]) -> RecordingMap:
            return explain_recording(classifier, source, hop=hop, method=method, progress=check)

        with _told(one):
            explanation = self.service.run(lambda: self.service.submit(work))
            return self._picture(one, pixels, explanation)

    def leave(self, request: gr.Request) -> None:
        """Remove a visitor's files."""
        self.files.remove(_visitor(request))

    def _picture(self, one: PageRecording, pixels: float, explanation: RecordingMap | None = None) -> str:
        assert one.result is not None
        events = () if one.truth is None else one.truth.events
        picture = draw_picture(one.result, one.path, one.name, int(pixels or 0), events, explanation)
        return recording_html(one, picture)


def _choose(recordings: Sequence[PageRecording], visit: Visit) -> int | None:
    """Return the index of what to show: the one shown before if it is still there, else the first with a result."""
    if visit.chosen is not None:
        shown = visit.recordings[visit.chosen].path
        index = next((index for index, one in enumerate(recordings) if one.path == shown), None)
        if index is not None and recordings[index].result is not None:
            return index
    return next((index for index, one in enumerate(recordings) if one.result is not None), None)


def _find_method(service: ClassificationService) -> str | None:
    """Return the first method of explanation that suits the model and is installed; None where there is none."""
    for method in METHODS:
        with contextlib.suppress(LungSRADError):
            check_methods([method], service.classifier.mods.embedding_model)
            return method
    return None


@contextlib.contextmanager
def _told(recording: PageRecording) -> Iterator[None]:
    """Tell a visitor what went wrong, instead of showing a page that does not fit."""
    try:
        if not recording.path.is_file():
            raise LungSRADError(f"{recording.name}: was removed, as it was not used for long; drop it again")
        yield
    except LungSRADError as error:
        raise gr.Error(str(error), print_exception=False) from None


def _visitor(request: gr.Request) -> str:
    return str(request.session_hash)
