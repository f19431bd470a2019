"""The rule for timelines that ``lung-srad check-timeline --choose`` wrote, for a model folder."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_config import StoredTimeline


def read_chosen_timeline(path: str | Path, model: str) -> dict[str, Any]:
    """Return the chosen rule, which must have been chosen with this model.

    Arguments
    ---------
    path : str or Path
        A ``timeline.json``.
    model : str
        As the model's ``config.json`` names it.

    Returns
    -------
    dict
        As ``config.json`` holds it.

    Raises
    ------
    LungSRADError
        Where the file is none of that kind, chose nothing, or is of another model.

    Example
    -------
    >>> path = getfixture("tmp_path") / "timeline.json"
    >>> _ = path.write_text('{"model": "other-1a2b", "chosen": {"window": 2.0, "hop": 0.5}}')
    >>> read_chosen_timeline(path, "starter-1a2b")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: ...timeline.json: chosen with the model other-1a2b; expected one chosen ...
    """
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
        found, chosen = report["model"], report.get("chosen")
        timeline = None if chosen is None else StoredTimeline.model_validate(chosen)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise LungSRADError(
            f"{path}: not the timeline.json of lung-srad check-timeline ({type(error).__name__}: {reason})"
        ) from None
    if timeline is None:
        raise LungSRADError(f"{path}: holds no choice; write it with lung-srad check-timeline --choose")
    if found != model:
        raise LungSRADError(
            f"{path}: chosen with the model {found}; expected one chosen with {model}, which is being exported"
        )
    return timeline.model_dump()
