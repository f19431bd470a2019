"""The model card: the README of a model folder, with the header that the Hugging Face hub reads.

It is filled from the run alone. What the run does not say, the card says is not known.
"""

import json

from lung_srad_plugin.export.model_config import ModelConfig
from lung_srad_plugin.metrics.calibration import read_calibration

# The hub's keys: https://huggingface.co/docs/hub/model-cards (metadata) and its `model-index`.
HEADER = """\
---
license: apache-2.0
library_name: speechbrain
pipeline_tag: audio-classification
tags:
- lung-sounds
- respiratory-sounds
- audio-classification
- speechbrain
- lung-srad
"""

SCORES = (
    ("specificity", "Specificity (Sp)", "icbhi_specificity"),
    ("sensitivity", "Sensitivity (Se)", "icbhi_sensitivity"),
    ("score", "ICBHI Score", "icbhi_score"),
)

BODY = """\
# {model}

A classifier of lung sounds into {classes}, trained with [Lung-SRAD](https://arxiv.org/abs/2606.11922) for SpeechBrain.

> **Research only. Not a medical device.** It was not made, tested or approved for diagnosis, triage or treatment.

## Use

```python
from lung_srad_plugin import LungSoundClassifier

model = LungSoundClassifier.from_hparams(source="FOLDER")
print(model.classify_file("recording.wav").summary)
```

```
lung-srad classify recording.wav --model FOLDER
```

`FOLDER` is this folder, or its id on the hub. SpeechBrain's own `EncoderClassifier.from_hparams` loads it too, where
`lung_srad_plugin` is installed; it expects waveforms of one channel at {sample_rate} Hz and hears the first
{duration:g} s of each.

## What it hears

One channel at {sample_rate} Hz, {duration:g} s at once: longer recordings are heard in overlapping windows, shorter
ones are repeated. Log-mel features of {frames} frames by 128 mel bands.

## Training and selection

| | |
|---|---|
{facts}

{selection}

## Scores

{scores}

## Intended use

- Research on computer analysis of lung sounds: comparison of methods, error analysis, teaching.
- A baseline, or a starting point for training on other recordings.

## Out of scope

- Any decision about a patient, alone or as advice to a clinician.
- Telling whether a file holds a lung sound at all: it gives an answer to any sound.
- Places, devices, ages and diseases that its training recordings do not cover.

## Limits

- Labels of lung sounds disagree between experts, and the scores cannot be better than the labels.
- A score on one data set does not carry over to other stethoscopes, sites or patients.
- The probabilities are not calibrated unless stated above.
- Scores of a part of a data set do not compare with published ones on the whole.

## Files

`embedding_model.ckpt`, `classifier.ckpt`, `label_encoder.ckpt` and `hyperparams.yaml` are what SpeechBrain loads;
`*.safetensors` hold the same weights; `config.json` names versions, labels, protocol and the SHA-256 of the files;
`model.onnx`, where present, takes waveforms (batch, samples) and gives log-probabilities.

The code is under the Apache License 2.0 (`LICENSE`). The terms of the training recordings and of initial weights are
their owners' and are not changed by it.
"""


def write_card(config: ModelConfig, results: dict | None = None) -> str:
    """Return the text of a model card.

    Arguments
    ---------
    config : ModelConfig
        What the model folder's ``config.json`` says.
    results : dict, optional
        The run's ``results.json``; None where the run was not evaluated.

    Returns
    -------
    str
        Markdown with the hub's metadata as YAML in front.

    Example
    -------
    >>> config = ModelConfig(format=1, model="demo-1a2b", labels=["normal", "crackle"], sample_rate=16000,
    ...     duration=8.0, frames=None, epoch=3, select="last", seed=1, versions={"lung-srad": "0.1.0"}, files={})
    >>> print(write_card(config).split("## Scores")[1].split("##")[0].strip())
    Not known: the run was not evaluated when the model was exported.
    """
    scores = _selected(config, results)
    return (
        HEADER
        + (_model_index(config, results, scores) if scores else "")
        + "---\n\n"
        + BODY.format(
            model=config.model,
            classes=", ".join(config.labels),
            sample_rate=config.sample_rate,
            duration=config.duration,
            frames=config.frames or "as many as there are 10 ms",
            facts="\n".join(f"| {name} | {value} |" for name, value in _facts(config, results)),
            selection=_selection(config),
            scores=_score_table(results, scores) if scores else _NO_SCORES,
        )
    )


_NO_SCORES = "Not known: the run was not evaluated when the model was exported."


def _selected(config, results):
    """The scores of the exported checkpoint; none where the results tell of another epoch."""
    scores = (results or {}).get("selected", {}).get(config.select)
    return scores if scores and scores["epoch"] == config.epoch else None


def _facts(config, results):
    results = results or {}
    protocol = config.protocol.model_dump() if config.protocol else {}
    pretrained = results.get("pretrained")
    yield "experiment", config.experiment
    yield "data", config.data or "not known"
    yield "split", protocol.get("split", "not known")
    yield (
        "validation",
        {"patients": "patients drawn from train", "test": "the test cycles"}.get(
            protocol.get("valid"), protocol.get("valid", "not known")
        ),
    )
    yield "epoch", config.epoch
    yield "seed", config.seed
    calibration = read_calibration(config.calibration.model_dump() if config.calibration else None)
    if calibration.temperature is None:
        yield "temperature", f"none: {calibration.reason}"
    else:
        yield (
            "temperature",
            f"{calibration.temperature:.3f}, fitted on validation cycles; applied only where `calibrated` asks for it",
        )
    if results:
        name = str(pretrained["source"]).replace("\\", "/").rpartition("/")[2] if pretrained else None
        source = f"{name} (SHA-256 {pretrained['sha256']})" if pretrained else "random"
        yield "initial weights", source
        yield "encoder parameters", f"{results['parameters']:,}"
        yield "trained on", f"{results['device']}, {results['precision']['training']}"
    yield "commit", config.commit or "not known"
    yield "versions", ", ".join(f"{name} {version}" for name, version in config.versions.items())


def _selection(config):
    rule = (config.protocol.selection if config.protocol else {}).get(config.select)
    if rule is None:
        return f"The checkpoint was chosen as `{config.select}`."
    warning = " **The test set chose it, so its scores on the test set are optimistic.**" if "test" in rule else ""
    return f"How the checkpoint was chosen: {rule}.{warning}"


def _score_table(results, scores):
    lines = [
        f"On {scores['cycles']} test cycles, in percent. Sp: share of normal cycles called normal. Se: share of "
        "abnormal cycles given their exact class (4-class) or any abnormal class (2-class). Score: their mean.",
        "",
        "| | 4-class | 2-class |",
        "|---|---|---|",
    ]
    for key, name, _ in SCORES:
        lines.append(f"| {name} | {_value(scores, '4class', key)} | {_value(scores, '2class', key)} |")
    lines += ["", "| true class | recall |", "|---|---|"]
    lines += [f"| {label} | {scores['recall'][label]:.2f} |" for label in results["labels"]]
    if "intervals" in scores:
        lines += ["", "In brackets: 95 % intervals."]
    return "\n".join(lines)


def _value(scores, task, key):
    interval = scores.get("intervals", {}).get(task, {}).get(key)
    text = f"{scores[task][key]:.2f}"
    return f"{text} ({interval[0]:.2f} to {interval[1]:.2f})" if interval else text


def _model_index(config, results, scores):
    """The hub's table of results; quoted as JSON strings are, which YAML reads alike."""
    split = results["protocol"]["split"]
    lines = [
        "model-index:",
        f"- name: {json.dumps(config.model)}",
        "  results:",
        "  - task:",
        "      type: audio-classification",
        "      name: classification of breathing cycles",
        "    dataset:",
        f"      name: {json.dumps(f'test cycles, split: {split}')}",
        f"      type: {json.dumps(results['experiment'])}",
        "    metrics:",
    ]
    for task in ("4class", "2class"):
        for key, name, kind in SCORES:
            lines += [
                f"    - type: {kind}",
                f"      name: {json.dumps(f'{name}, {task}, percent')}",
                f"      value: {scores[task][key]:.2f}",
            ]
    return "\n".join(lines) + "\n"
