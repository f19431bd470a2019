"""What a client may ask for beside the recording: windows, threshold, cycles."""

from typing import Any

from pydantic import Field

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.settings import ClassifySettings

MAX_CYCLES = 1000


class ClientSettings(ClassifySettings):
    """How a recording is classified, and which cycles of it.

    Example
    -------
    >>> ClientSettings(start=[0, 2], end=[2, 4.5]).cycles
    [(0.0, 2.0), (2.0, 4.5)]
    """

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
                f"start is given {len(self.start)} times and end {len(self.end)} times; expected one end for each start"
            )
        return list(zip(self.start, self.end, strict=True)) or None

    def keywords(self) -> dict[str, Any]:
        """Return the arguments of ``LungSoundClassifier.classify_file``."""
        return {**super().keywords(), "cycles": self.cycles}
