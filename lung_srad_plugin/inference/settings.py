"""How a recording is classified: the settings that every way to classify recordings shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier

Settings = TypeVar("Settings", bound="ClassifySettings")


class ClassifySettings(BaseModel):
    """How a recording is classified; see ``LungSoundClassifier.classify_file``.

    Example
    -------
    >>> ClassifySettings(hop=1.0).keywords()
    {'window': None, 'hop': 1.0, 'merging': None, 'calibrated': False, 'sensitivity': None}
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: float | None = Field(
        default=None, description="Seconds of a window; what the model recommends if left out."
    )
    hop: float | None = Field(
        default=None,
        description="Seconds from one window to the next; what the model recommends if left out.",
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
    )

    def keywords(self) -> dict[str, Any]:
        """Return these settings as arguments of ``LungSoundClassifier.classify_file``."""
        return {name: getattr(self, name) for name in ClassifySettings.model_fields}

    def resolve(self: Settings, classifier: LungSoundClassifier) -> Settings:
        """Return the settings with what the model recommends in place of what was left out.

        Raises
        ------
        LungSRADError
            Where the model cannot follow one of them.
        """
        rule = classifier.select_rule(self.window, self.hop, self.merging, self.calibrated)
        classifier.select_threshold(self.sensitivity, self.calibrated)
        return self.model_copy(update={"window": rule.window, "hop": rule.hop, "merging": rule.merging})
