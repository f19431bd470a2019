"""The run manifest beside a table of results: with what, when and how long it was computed, and what failed."""

from __future__ import annotations

import json
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, Field, ValidationError

from lung_srad_plugin.archive.settings import ArchiveSettings, ModelIdentity
from lung_srad_plugin.utils.files import write_together
from lung_srad_plugin.utils.provenance import package_versions, source_commit
from lung_srad_plugin.utils.text import json_text

State = Literal["running", "interrupted", "stopped", "finished"]


class Durations(BaseModel):
    """Seconds of a session.

    Arguments
    ---------
    decoding : float
        Summed over the threads that decode, which overlaps with the model.
    model : float
        From waveforms to probabilities.
    total : float
        From the first recording to the last, without loading the model.
    """

    decoding: float = 0.0
    model: float = 0.0
    total: float = 0.0


class Session(BaseModel):
    """One start of the command; a run that was stopped and continued has several.

    Arguments
    ---------
    begin : str
        Time in UTC.
    end : str or None
        None where it was killed.
    versions : dict
        Of Python and of packages.
    commit : str or None
        Of the source tree, where there is one.
    platform, device : str
    threads, decoding_threads, batch_size : int
    continued : int
        Recordings that were done before.
    done, failed : int
        Recordings of this session.
    seconds : Durations
    """

    begin: str
    end: str | None = None
    versions: dict[str, str]
    commit: str | None
    platform: str
    device: str
    threads: int
    decoding_threads: int
    batch_size: int
    continued: int
    done: int = 0
    failed: int = 0
    seconds: Durations = Field(default_factory=Durations)


class Failure(BaseModel):
    """A recording without a result.

    Arguments
    ---------
    file, reason : str
    """

    file: str
    reason: str


class RunManifest(BaseModel):
    """What is in ``NAME.run.json``.

    Arguments
    ---------
    format : int
    state : str
        ``"running"`` also where the process was killed, ``"interrupted"``, ``"stopped"`` by an error, ``"finished"``.
    settings : ArchiveSettings
    model : ModelIdentity
    windows : dict
        How windows are placed and merged, as it results from settings and model.
    sources : list of str
        Files, folders and patterns of the last session.
    recordings : int
        How many these are.
    outputs : dict
        The other files of the run, by what they hold.
    sessions : list of Session
    failed : list of Failure
        What has no result so far, with the reason.
    """

    format: Literal[1] = 1
    state: State = "running"
    settings: ArchiveSettings
    model: ModelIdentity
    windows: dict[str, Any]
    sources: list[str]
    recordings: int
    outputs: dict[str, str]
    sessions: list[Session]
    failed: list[Failure] = []

    def save(self, path: Path) -> None:
        """Write the file.

        Raises
        ------
        LungSRADError
            Where it cannot be written, or another program wrote the one that is there.
        """
        # Names that are no UTF-8 have no JSON of pydantic's own.
        text = json.dumps(self.model_dump(mode="python"), indent=2, ensure_ascii=False)
        write_together({path: json_text(text) + "\n"})

    @classmethod
    def sessions_of(cls, path: Path) -> list[Session]:
        """Return the sessions of a run so far; none where there is no manifest of it."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8")).sessions
        except (OSError, ValidationError):
            return []


def begin_session(settings: ArchiveSettings, device: str, continued: int) -> Session:
    """Return the session that begins now."""
    return Session(
        begin=now(),
        versions=package_versions(),
        commit=source_commit(),
        platform=platform.platform(),
        device=device,
        threads=torch.get_num_threads(),
        decoding_threads=settings.decoding_threads,
        batch_size=settings.batch_size,
        continued=continued,
    )


def now() -> str:
    """Return the time in UTC, to the second."""
    return f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
