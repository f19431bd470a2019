"""What a service says about its model and its limits."""

from dataclasses import asdict
from typing import Any

from lung_srad_plugin.export.novelty_file import describe_missing
from lung_srad_plugin.serving.service import ClassificationService
from lung_srad_plugin.version import __version__

PURPOSE = "Research use only: not a medical device. No result is a diagnosis or advice about a patient."


def describe_model(service: ClassificationService) -> dict[str, Any]:
    """Return the facts of the model's card that a client needs, as JSON values."""
    classifier = service.classifier
    config = classifier.config
    stored = {} if config is None else config.model_dump(mode="json")
    return {
        "model": classifier.model_id,
        "purpose": PURPOSE,
        "labels": list(classifier.labels),
        "sample_rate": classifier.sample_rate,
        "duration": classifier.window,
        "windows": asdict(classifier.select_rule()),
        "calibrated": classifier.calibration.temperature is not None,
        "sensitivities": sorted({point.wanted_sensitivity for point in classifier.operating_points}),
        "uncertain_below": classifier.uncertain_below,
        "detects_unlike_sounds": classifier.novelty is not None,
        "no_detector_because": None if classifier.novelty is not None else describe_missing(config),
        "trained_on_synthetic": classifier.trained_on_synthetic,
        "training_sets": stored.get("training_sets"),
        "protocol": stored.get("protocol"),
        "version": __version__,
        "limits": asdict(service.limits),
    }


def describe_state(service: ClassificationService) -> dict[str, Any]:
    """Return whether the service works, and how busy it is."""
    return {
        "status": "ok",
        "at_work": service.at_work,
        "waiting": service.waiting,
        "model": service.classifier.model_id,
        "version": __version__,
    }
