"""``run.json`` of a screening: what was run, and whether an output is of the same run."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import Any

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.screening.model_copy import ModelCopy
from lung_srad_plugin.screening.worker import ScreenSettings
from lung_srad_plugin.utils.provenance import package_versions, source_commit

COMMAND = "screen"


def describe_run(source: str, model_id: str, model: ModelCopy, settings: ScreenSettings) -> dict[str, Any]:
    """Return what ``run.json`` says."""
    digest = hashlib.sha256()
    for name, content in sorted(model.files.items()):
        digest.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return {
        "command": COMMAND,
        "source": source,
        "model": {"id": model_id, "sha256": digest.hexdigest()},
        "settings": settings.model_dump(),
        "versions": package_versions(),
        "commit": source_commit(),
        "began": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC",
    }


def check_same_run(before: dict[str, Any] | None, run: dict[str, Any], destination: str) -> None:
    """Refuse to add to an output of another model or other settings: its rows would not compare.

    Arguments
    ---------
    before : dict or None
        The ``run.json`` that is there; None where there is none.
    run : dict
        That of the run that is to be.
    destination : str

    Raises
    ------
    LungSRADError
        Naming what differs.
    """
    if before is None:
        return
    old, new = _facts(before), _facts(run)
    differences = [f"{name} was {old[name]!r} and is now {new[name]!r}" for name in new if old[name] != new[name]]
    if differences:
        raise LungSRADError(
            f"{destination}: holds the results of another run: {'; '.join(differences)}; choose another destination, "
            "or the model and settings of that run"
        )


def _facts(run):
    model = run.get("model") or {}
    settings = run.get("settings") or {}
    return {
        "command": run.get("command"),
        "model": model.get("id"),
        "its files (SHA-256)": model.get("sha256"),
        **{name: settings.get(name) for name in ScreenSettings.model_fields},
    }
