"""The schema of a model folder's ``config.json``: what each key holds, checked when the file is read."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from lung_srad_plugin.audio.quality import MIN_SECONDS
from lung_srad_plugin.errors import LungSRADError

# Raise it when a folder of the new layout cannot be read by the code of the old one.
FORMAT = 1

SHOWN_PROBLEMS = 5

MIN_HOP = 0.01  # seconds, the shift between two frames of the features: a smaller one gives no finer timeline
DEFAULT_HOP = 4.0  # seconds, of models whose folder recommends nothing


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected text without control characters")
    return text


# Names reach terminals, tables and file names.
Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_printable)]
Line = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_printable)]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
SHA256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finding = Literal["crackle", "wheeze", "abnormal"]
Merging = Literal["mean", "max", "median", "nearest"]


class _Record(BaseModel):
    # A folder of a later version of the same format may say more.
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class StoredCalibration(_Record):
    """The temperature that was fitted, or why there is none, and what it did to the cycles it was fitted on."""

    temperature: Positive | None = None
    reason: Line | None = None
    at_bound: bool = False
    before: dict[Name, float | None] | None = None
    after: dict[Name, float | None] | None = None


class StoredOperatingPoint(_Record):
    """The threshold that was fitted for a sensitivity, at a temperature."""

    wanted_sensitivity: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    threshold: Annotated[float, Field(allow_inf_nan=False)]
    temperature: Positive = 1.0


class StoredTimeline(_Record):
    """How long recordings are best cut and put together again, as measured on annotated validation recordings.

    Arguments
    ---------
    window, hop : float
        Length of a window, and the time from the start of one to the next, in seconds.
    merging : str
        What windows that overlap give together.
    thresholds : dict
        By finding, the probability from which the timeline reports an event of it.
    min_duration : float
        The shortest event in seconds.
    data : str or None
        The manifest that it was chosen on.
    """

    window: Annotated[float, Field(ge=MIN_SECONDS, le=1e6, allow_inf_nan=False)]
    hop: Annotated[float, Field(ge=MIN_HOP, le=1e6, allow_inf_nan=False)]
    merging: Merging = "mean"
    thresholds: dict[Finding, Probability] = {}
    min_duration: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    data: Line | None = None

    @field_validator("hop")
    @classmethod
    def _no_gaps(cls, hop: float, info: ValidationInfo) -> float:
        if hop > info.data.get("window", hop):
            raise ValueError("expected at most the length of a window")
        return hop


class StoredRate(_Record):
    """How many of some validation sounds a detector calls unlike the training sounds."""

    sounds: Annotated[int, Field(ge=0)]
    false_alarms: Annotated[float, Field(ge=0, le=1)]


class StoredNovelty(_Record):
    """The detector of sounds unlike the training sounds, or why there is none; its numbers are in a file of their own.

    Arguments
    ---------
    reason : str or None
        Why there is none; None where there is one.
    statistics : list of str
        What the detector looks at, in the order of its numbers.
    wanted_false_alarm_rate : float or None
        Share of the validation sounds, at most, that the limit was set for.
    training_sounds, training_recordings, validation_sounds, validation_recordings : int
        What it was fitted on.
    false_alarms : dict
        By kind of validation sounds and by data set, how many it calls unlike.
    """

    reason: Line | None = None
    statistics: list[Name] = []
    wanted_false_alarm_rate: Annotated[float, Field(ge=0, lt=1)] | None = None
    training_sounds: int = 0
    training_recordings: int = 0
    validation_sounds: int = 0
    validation_recordings: int = 0
    false_alarms: dict[Name, StoredRate] = {}

    @property
    def available(self) -> bool:
        """Whether the folder has a detector."""
        return self.reason is None


class StoredUncertainty(_Record):
    """Below which confidence an answer is called uncertain, and what that means on the validation cycles.

    Arguments
    ---------
    below : float
        Of the probability of the most probable class, calibrated where there is a temperature.
    share : float or None
        Of the validation cycles that are uncertain; None where their predictions are not known.
    wrong, wrong_otherwise : float or None
        Share of wrong answers among the uncertain cycles and among the others; None where there are none or not known.
    """

    below: Annotated[float, Field(gt=0, lt=1)]
    share: Annotated[float, Field(ge=0, le=1)] | None = None
    wrong: Annotated[float, Field(ge=0, le=1)] | None = None
    wrong_otherwise: Annotated[float, Field(ge=0, le=1)] | None = None


class StoredProtocol(_Record):
    """How the data of the training run were split, and how its epochs were selected."""

    split: Line | None = None
    valid: Line | None = None
    valid_is_test: bool = False
    selection: dict[Name, Line] = {}
    sha256: dict[Name, SHA256] = {}
    patients_shared: dict[Name, list[Line]] = {}
    notes: list[Annotated[Line, StringConstraints(min_length=1)]] = []


class StoredTrainingSet(_Record):
    """A data set that a model was trained on, with what of it was in the training part."""

    name: Name
    title: Line
    licence: Line | None = None
    patients: Annotated[int, Field(ge=0)]
    cycles: Annotated[int, Field(ge=0)]


class ModelConfig(_Record):
    """What ``config.json`` of a model folder says.

    Arguments
    ---------
    format : int
        Of the folder's layout.
    model : str
        Names the model in results.
    labels : list of str
        In the order of the model's outputs, the normal class first.
    sample_rate, duration, frames : int, float, int or None
        The input: Hz, seconds, and frames of the features, None for as many as there are.
    files : dict
        SHA-256 of each file by name.
    versions : dict
        Of the packages that wrote it.
    experiment, epoch, select, seed, data, synthetic, commit, protocol
        Of the training run; None where it does not say. ``synthetic`` is whether its sounds were.
    training_sets : list of StoredTrainingSet or None
        The data sets that it was trained on; None where the folder does not name them one by one.
    teacher : str or None
        The table of embeddings that it learned to reproduce, where there was one.
    calibration, operating_points
        What was fitted on validation cycles for this epoch; None where nothing was.
    timeline : StoredTimeline or None
        How long recordings are processed where the user does not say; None where it was not chosen.
    novelty : StoredNovelty or None
        The detector of sounds unlike the training sounds; None in folders of versions that had none.
    uncertainty : StoredUncertainty or None
        When an answer is called uncertain; None in folders of versions that did not say.
    """

    format: int
    model: Name
    labels: Annotated[list[Name], Field(min_length=2, max_length=1000)]
    sample_rate: Annotated[int, Field(gt=0, le=1_000_000)]
    duration: Positive
    frames: Annotated[int, Field(gt=0, le=1_000_000)] | None
    files: dict[FileName, SHA256]
    versions: dict[Name, Line]
    experiment: Line | None = None
    epoch: int | None = None
    select: Literal["valid", "last", "test"] | None = None
    seed: int | None = None
    data: Line | None = None
    synthetic: bool | None = None
    commit: Line | None = None
    protocol: StoredProtocol | None = None
    training_sets: list[StoredTrainingSet] | None = None
    teacher: Line | None = None
    calibration: StoredCalibration | None = None
    operating_points: list[StoredOperatingPoint] | None = None
    timeline: StoredTimeline | None = None
    novelty: StoredNovelty | None = None
    uncertainty: StoredUncertainty | None = None

    @field_validator("timeline")
    @classmethod
    def _fits_the_input(cls, timeline: StoredTimeline | None, info: ValidationInfo) -> StoredTimeline | None:
        if timeline is not None and timeline.window > info.data.get("duration", timeline.window):
            raise ValueError("expected a window that is no longer than the model's duration")
        return timeline


def default_hop(window: float) -> float:
    """Return the seconds between the starts of two windows of a model whose folder recommends nothing.

    Example
    -------
    >>> default_hop(8.0), default_hop(3.0)
    (4.0, 1.5)
    """
    return window / 2 if window < DEFAULT_HOP else DEFAULT_HOP


def parse_config(content: Any, origin: str, cure: str) -> ModelConfig:
    """Return the content of a ``config.json`` as a record.

    Arguments
    ---------
    content
        What the file's JSON holds.
    origin : str
        The file, for messages.
    cure : str
        What to do about a faulty folder, for messages.

    Raises
    ------
    LungSRADError
        Naming each key that is missing or of another kind than expected; where the format is not ``FORMAT``.

    Example
    -------
    >>> parse_config({"format": "1"}, "config.json", "export the model again")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: config.json: the key 'format' is '1'; expected a whole number; export ...
    """
    if not isinstance(content, dict):
        raise LungSRADError(f"{origin}: expected an object with keys, got {_shorten(content)}; {cure}")
    _check_format(content, origin, cure)
    try:
        return ModelConfig.model_validate(content)
    except ValidationError as error:
        problems = [_describe(problem) for problem in error.errors()[:SHOWN_PROBLEMS]]
        more = f"; and {error.error_count() - SHOWN_PROBLEMS} more" if error.error_count() > SHOWN_PROBLEMS else ""
        raise LungSRADError(f"{origin}: {'; '.join(problems)}{more}; {cure}") from None


def _check_format(content: dict, origin: str, cure: str) -> None:
    if "format" not in content:
        raise LungSRADError(f"{origin}: the key 'format' is missing; {cure}")
    found = content["format"]
    if not isinstance(found, int) or isinstance(found, bool):
        raise LungSRADError(f"{origin}: the key 'format' is {_shorten(found)}; expected a whole number; {cure}")
    if found != FORMAT:
        versions = content.get("versions")
        wrote = _shorten(versions.get("lung-srad")) if isinstance(versions, dict) else "another version"
        cure = "pip install --upgrade lung-srad" if found > FORMAT else "export the model again"
        raise LungSRADError(
            f"{origin}: the folder has format {_shorten(found)}, written by lung-srad {wrote}, and this version reads "
            f"format {FORMAT}; {cure}"
        )


def _describe(problem: Mapping[str, Any]) -> str:
    key = ".".join(_shorten(part) if isinstance(part, str) and not part.isprintable() else str(part)
                   for part in problem["loc"])[:80]  # fmt: skip
    if problem["type"] == "missing":
        return f"the key {key!r} is missing"
    return f"the key {key!r} is {_shorten(problem['input'])}; {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _shorten(value: Any, limit: int = 60) -> str:
    """Return a value as one short line."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"
