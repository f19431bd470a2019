"""The settings of a run over many recordings, and which of them decide its results."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_config import ModelConfig
from lung_srad_plugin.inference.settings import ClassifySettings
from lung_srad_plugin.utils.devices import PRECISIONS

# What may change between a run and its continuation: it moves results by rounding alone, or concerns the summaries.
FREE = frozenset({"model", "batch_size", "decoding_threads", "device", "patients", "patient_pattern"})


class ArchiveSettings(ClassifySettings):
    """The settings of ``lung-srad classify``, as the run manifest of a table keeps them.

    Arguments
    ---------
    model : str or None
        As it was named; None is the model that comes with the package.
    annotations : bool
        Whether the cycles of the annotation beside each recording are classified.
    batch_size : int
        Windows that go through the model at once, of several recordings where they are short.
    decoding_threads : int
        Recordings that are decoded at once while the model computes.
    device : str or None
    precision : str
    patients : str or None
        A table that names the patient of each recording.
    patient_pattern : str or None
        A regular expression for the name of a recording, with a group ``patient``.
    """

    model: str | None = None
    annotations: bool = False
    batch_size: int = 8
    decoding_threads: int = 1
    device: str | None = None
    precision: str = PRECISIONS[0]
    patients: str | None = None
    patient_pattern: str | None = None

    def deciding(self) -> dict[str, Any]:
        """Return those that decide the results: a run continues only with the same ones."""
        return self.model_dump(exclude=set(FREE))


class ModelIdentity(BaseModel):
    """Which model classified.

    Arguments
    ---------
    id : str
        As its folder says.
    checksum : str
        SHA-256 of the list of its files with their SHA-256.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    checksum: str

    @classmethod
    def of(cls, config: ModelConfig) -> ModelIdentity:
        """Return the identity of a model from its ``config.json``."""
        files = json.dumps(dict(sorted(config.files.items())))
        return cls(id=config.model, checksum=hashlib.sha256(files.encode()).hexdigest())


class GivenBack(BaseModel):
    """What of a run manifest another run takes over; the rest of it is not looked at.

    Arguments
    ---------
    format : int
    settings : ArchiveSettings
    model : ModelIdentity
    """

    format: Literal[1] = 1
    settings: ArchiveSettings
    model: ModelIdentity


def read_settings(path: str | Path) -> GivenBack:
    """Return the settings and the model of a run manifest.

    Raises
    ------
    LungSRADError
        Where it cannot be read, or a key is missing, unknown or wrong.

    Example
    -------
    >>> path = getfixture("tmp_path") / "run.json"
    >>> _ = path.write_text('{"settings": {"hop": 1.0}, "model": {"id": "a", "checksum": "0"}}')
    >>> read_settings(path).settings.hop
    1.0
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return GivenBack.model_validate(content)
    except OSError as error:
        raise LungSRADError(f"{path}: cannot be read ({error.strerror}); expected the .run.json of a run") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise LungSRADError(f"{path}: {key}: {first['msg']}; expected the .run.json that classify wrote") from None
    except ValueError as error:
        raise LungSRADError(f"{path}: no JSON ({error}); expected the .run.json that classify wrote") from error
