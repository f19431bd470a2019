"""The typed record of a run's results: what ``results.json`` holds, read and written through one schema."""

import json
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.runs.named_tests import ONLY


class _Record(BaseModel):
    # Keys that a later version may add are kept, so that nothing is lost where a record is read and written again.
    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)

    def as_dict(self) -> dict[str, Any]:
        """Return what the file holds: plain values by the names of the file, without what was never set."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class Rates(_Record):
    """Specificity, sensitivity and their mean, in percent."""

    specificity: float
    sensitivity: float
    score: float


class Scores(_Record):
    """Scores of one set of predictions; ``confusion`` has the true class in rows."""

    cycles: int
    strict: Rates = Field(alias="4class")
    any_abnormal: Rates = Field(alias="2class")
    recall: dict[str, float]
    confusion: list[list[int]]


class DataSetMetrics(_Record):
    """The metrics of one data set among the test cycles by name, None where undefined, and its cycles by class."""

    cycles: int
    support: dict[str, int]
    metrics: dict[str, float | None]


class SetScores(Scores):
    """Scores on one test set; ``data_sets`` has the metrics of each data set, where its cycles are of several."""

    intervals: dict[str, Any] | None = None
    data_sets: dict[str, DataSetMetrics] | None = None


_OF_TEST_SET = {field.alias or name for name, field in SetScores.model_fields.items()}


class SelectedScores(_Record):
    """Test scores of a selected epoch by test set, and what was fitted on validation cycles for it.

    In the file the scores of a test set without a name are beside ``epoch``, those of named ones in ``tests``.
    """

    tests: dict[str, SetScores]

    epoch: int
    train: Scores | None = None
    calibration: dict[str, Any] | None = None
    operating_points: list[dict[str, Any]] | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_flat(cls, stored: Any) -> Any:
        if not isinstance(stored, dict) or "tests" in stored:
            return stored
        of_test_set = {key: value for key, value in stored.items() if key in _OF_TEST_SET}
        return {key: value for key, value in stored.items() if key not in _OF_TEST_SET} | {"tests": {ONLY: of_test_set}}

    @model_serializer(mode="wrap")
    def _write_flat(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        stored = write(self)
        if list(self.tests) != [ONLY]:
            return stored
        return stored.pop("tests")[ONLY] | stored


class Protocol(_Record):
    """How the data were split, and how epochs were selected: ``selection`` has each rule in words."""

    split: str
    split_sha256: str | None = None
    notes: list[str] = []
    valid_is_test: bool = False
    patients_shared: dict[str, list[str]] = {}
    sha256: dict[str, str] = {}
    selection: dict[str, str]
    select_by: str = "score"
    min_sensitivity: float | None = None
    select_over: str = "cycles"


class Training(_Record):
    """What changes training besides the settings: processes and options of SpeechBrain.

    ``effective_batch`` is the number of cycles of one optimiser step: batch size times processes times accumulation.
    ``data_sets`` has the training cycles of each data set and how many of them an epoch draws, where they have shares.
    ``adapters`` has the settings of LoRA and the number of trained parameters, where the encoder was frozen.
    """

    processes: int
    batch_size: int
    grad_accumulation_factor: int
    effective_batch: int
    optimizer_step_limit: int | None
    skip_nonfinite_grads: bool
    remove_vector_weight_decay: bool
    compile: bool
    data_sets: dict[str, dict[str, int]] | None = None
    adapters: dict[str, Any] | None = None


class Probe(_Record):
    """How a linear classifier was fitted on the embeddings of an encoder that does not change.

    ``metrics`` has the metric of each inverse strength ``c`` over the folds of patients. ``embeddings`` is the table
    they were read from, with its SHA-256; None where the run's own encoder computed them.
    """

    c: float
    folds: int
    select_by: str
    metrics: dict[str, float]
    class_weighting: str
    embeddings: dict[str, str] | None = None


class RunResults(_Record):
    """The results of a run; ``selected`` has the scores of the epoch that each rule selects."""

    experiment: str
    labels: list[str]
    protocol: Protocol
    selected: dict[str, SelectedScores]
    seed: int
    data_folder: str
    synthetic: bool | None = None
    pretrained: dict[str, Any] | None = None
    parameters: int
    device: str
    precision: dict[str, str]
    training: Training | None = None
    probe: Probe | None = None
    commit: str | None = None
    versions: dict[str, str] = {}
    seconds: float | None = None
    peak_memory_megabytes: float | None = None
    history: list[dict[str, Any]] = []

    def as_json(self) -> str:
        """Return the text of ``results.json``."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n"


def read_results(path: str | Path) -> RunResults:
    """Read the ``results.json`` of this version or the one before.

    Raises
    ------
    LungSRADError
        Where the file is absent, no JSON, or a key is missing or of another type.

    Example
    -------
    >>> path = getfixture("tmp_path") / "results.json"
    >>> _ = path.write_text('{"experiment": "mine"}')
    >>> read_results(path)
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: ...results.json: not the results of a run: labels: field required ...
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return RunResults.model_validate(content)
    except FileNotFoundError:
        raise LungSRADError(f"{path}: no such file; a training run writes it at its end") from None
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg'].lower()}" for one in error.errors()[:SHOWN]]
        more = f"; and {error.error_count() - SHOWN} more" if error.error_count() > SHOWN else ""
        raise LungSRADError(f"{path}: not the results of a run: {'; '.join(problems)}{more}; {CURE}") from None
    except (ValueError, RecursionError) as error:  # not JSON, or not UTF-8
        raise LungSRADError(f"{path}: not valid JSON ({error}); {CURE}") from None


SHOWN = 5
CURE = "evaluate the run again: the training command with --test_only"
