"""The review page's server: segments with sound and picture, and decisions that are on disk before it answers."""

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Header, HTTPException, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel
from starlette.middleware.trustedhost import TrustedHostMiddleware

from lung_srad_plugin.audio.clips import heard_flac
from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.clip_picture import ClipPicture, draw_clip
from lung_srad_plugin.reporting.pages import render
from lung_srad_plugin.review.decisions import DecisionLog, check_reviewer
from lung_srad_plugin.review.segments_table import CutSegment, read_segments
from lung_srad_plugin.serving.server import LOCAL_NAMES

KEPT = 64  # pictures and sounds in memory
MARK = "review"  # of the header that only the page itself can send


class GivenLabel(BaseModel):
    """What the page sends: the ID of a segment, and its label or None to reject it."""

    ID: str
    label: str | None


def create_review_app(folder: Path, reviewer: str, blind: bool = False) -> FastAPI:
    """Return the application, for one reviewer.

    Arguments
    ---------
    folder : Path
        That ``lung-srad segments`` wrote.
    reviewer : str
    blind : bool
        Whether the page is not told what the model said.

    Raises
    ------
    LungSRADError
        Where the folder has no segments or faulty decisions.
    """
    reviewer = check_reviewer(reviewer)
    segments = {row.ID: row for row in read_segments(folder)}
    labels = list(next(iter(segments.values())).probabilities)
    log = DecisionLog(folder, {name: row.predicted for name, row in segments.items()})
    writing, drawing = threading.Lock(), threading.Lock()
    app = FastAPI(title="Lung-SRAD review", openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL_NAMES), www_redirect=False)

    def find(identifier: str) -> CutSegment:
        if identifier not in segments:
            raise HTTPException(404, "no such segment")
        return segments[identifier]

    def check_page(mark: str | None) -> None:
        # A page of another site may make the browser send a form here, but not this header.
        if mark != MARK:
            raise HTTPException(403, "decisions come from the review page only")

    def state() -> dict[str, Any]:
        return {name: one.label or None for name, one in log.of_reviewer(reviewer).items()}

    @lru_cache(maxsize=KEPT)
    def picture_of(identifier: str) -> ClipPicture:
        with drawing:
            return draw_clip(audio_source(folder / segments[identifier].clip))

    @lru_cache(maxsize=KEPT)
    def sound_of(identifier: str) -> bytes:
        return heard_flac(audio_source(folder / segments[identifier].clip))

    @app.exception_handler(LungSRADError)
    async def _mistake(request: Any, error: LungSRADError) -> Response:
        return JSONResponse({"detail": str(error)}, status_code=500)

    @app.get("/")
    def page() -> HTMLResponse:
        context = {"labels": labels, "blind": blind, "reviewer": reviewer, "folder": str(folder), "mark": MARK}
        return HTMLResponse(render("review.html.jinja", context), headers={"Cache-Control": "no-store"})

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)

    @app.get("/api/segments")
    def all_segments() -> dict[str, Any]:
        return {"segments": [_shown(row, blind) for row in segments.values()], "decided": state()}

    @app.get("/api/picture/{identifier}")
    def picture(identifier: str) -> Response:
        find(identifier)
        return Response(picture_of(identifier).content, media_type="image/webp")

    @app.get("/api/axes/{identifier}")
    def axes(identifier: str) -> dict[str, Any]:
        find(identifier)
        drawn = picture_of(identifier)
        return {"duration": drawn.duration, "ticks": drawn.ticks}

    @app.get("/api/sound/{identifier}")
    def sound(identifier: str) -> Response:
        find(identifier)
        return Response(sound_of(identifier), media_type="audio/flac")

    @app.post("/api/decisions")
    def decide(given: GivenLabel, x_lung_srad: str | None = Header(None)) -> dict[str, Any]:
        check_page(x_lung_srad)
        find(given.ID)
        if given.label is not None and given.label not in labels:
            raise HTTPException(422, f"label {given.label!r}; expected one of {', '.join(labels)}")
        with writing:
            log.add(reviewer, given.ID, given.label, blind)
            return {"ID": given.ID, "decided": state()}

    @app.post("/api/undo")
    def undo(x_lung_srad: str | None = Header(None)) -> dict[str, Any]:
        check_page(x_lung_srad)
        with writing:
            return {"ID": log.undo(reviewer), "decided": state()}

    return app


def _shown(row: CutSegment, blind: bool) -> dict[str, Any]:
    """Return what the page is told of a segment."""
    times = row.model_dump(include={"ID", "start", "end", "clip_start", "clip_end"})
    shown = {**times, "recording": Path(row.recording).name}
    if blind:
        return shown
    flags = row.model_dump(include={"predicted", "probabilities", "uncertain", "unlike_training", "model", "annotated"})
    return {**shown, **flags}
