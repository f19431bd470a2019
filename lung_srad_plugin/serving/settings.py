"""What a client may ask for beside the recording: windows, threshold, cycles."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lung_srad_plugin.errors import LungSRADError

MAX_CYCLES = 1000


class ClassifySettings(BaseModel):
    """How a recording is classified; see ``LungSoundClassifier.classify_file``.

    Example
    -------
    >>> ClassifySettings(start=[0, 2], end=[2, 4.5]).cycles
    [(0.0, 2.0), (2.0, 4.5)]
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: float | None = Field(
        default=None, description="Seconds of a window; what the model recommends if left out.", allow_inf_nan=False
    )
    hop: float | None = Field(
        default=None,
        description="Seconds from one window to the next; what the model recommends if left out.",
        allow_inf_nan=False,
    )
    merging: str | None = Field(
        default=None, description="What overlapping windows give: mean, max, median or nearest.", max_length=20
    )
    calibrated: bool = Field(
        default=False, description="Apply the temperature fitted on the model's validation cycles."
    )
    sensitivity: float | None = Field(
        default=None,
        description="Call abnormal what reaches the threshold fitted for this sensitivity, in percent.",
        allow_inf_nan=False,
    )
    start: list[float] = Field(
        default=[],
        description="Where each cycle starts, in seconds; without cycles, windows are classified.",
        max_length=MAX_CYCLES,
    )
    end: list[float] = Field(default=[], description="Where each cycle ends, in seconds.", max_length=MAX_CYCLES)

    @property
    def cycles(self) -> list[tuple[float, float]] | None:
        """The cycles that are asked for; None for windows.

        Raises
        ------
        LungSRADError
            Where starts and ends do not pair.
        """
        if len(self.start) != len(self.end):
            raise LungSRADError(
                f"{len(self.start)} values of start and {len(self.end)} of end; expected one end for each start"
            )
        return list(zip(self.start, self.end, strict=True)) or None

    def keywords(self) -> dict[str, Any]:
        """Return the arguments of ``LungSoundClassifier.classify_file``."""
        return {**self.model_dump(exclude={"start", "end"}), "cycles": self.cycles}
