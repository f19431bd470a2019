"""The model card: the README of a model folder, with the header that the Hugging Face hub reads.

It is filled from the run alone. What the run does not say, the card says is not known.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from lung_srad_plugin.datasets.synthetic.marker import TRAINED_ON_SYNTHETIC, trained_on_synthetic
from lung_srad_plugin.export.model_config import ModelConfig
from lung_srad_plugin.export.model_folder import WEIGHTS
from lung_srad_plugin.export.reported_scores import ReportedScores
from lung_srad_plugin.metrics.calibration import read_calibration
from lung_srad_plugin.runs.named_tests import ONLY
from lung_srad_plugin.utils.text import markdown_text, printable

TEMPLATE = Path(__file__).parent / "templates" / "model_card.md.jinja"
TAGS = ["lung-sounds", "respiratory-sounds", "audio-classification", "speechbrain", "lung-srad"]

# By the key of the results: its name in the card, and the hub's type of metric.
SCORES = (
    ("specificity", "Specificity (Sp)", "icbhi_specificity"),
    ("sensitivity", "Sensitivity (Se)", "icbhi_sensitivity"),
    ("score", "ICBHI Score", "icbhi_score"),
)
TASKS = ("4class", "2class")

VALIDATION = {"patients": "patients drawn from train", "test": "the test cycles"}
NOT_KNOWN = "not known"


def write_card(
    config: ModelConfig,
    results: dict[str, Any] | None = None,
    reports: Mapping[str, ReportedScores] | None = None,
    remarks: Sequence[str] = (),
) -> str:
    """Return the text of a model card.

    Arguments
    ---------
    config : ModelConfig
        What the model folder's ``config.json`` says.
    results : dict, optional
        The run's ``results.json``; None where the run was not evaluated.
    reports : Mapping, optional
        By name of a test set, the scores of this model on it.
    remarks : sequence of str
        Sentences on how the model was chosen and what it was never tested on.

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
    scores = _selected_scores(config, results)
    tables = [(markdown_text(name), _score_tables(found)) for name, found in scores.items()]
    card = ModelCard.from_template(
        _metadata(config, results, scores),
        template_path=str(TEMPLATE),
        heading=markdown_text(config.model),
        classes=", ".join(map(markdown_text, config.labels)),
        sample_rate=config.sample_rate,
        duration=f"{config.duration:g}",
        synthetic=TRAINED_ON_SYNTHETIC if trained_on_synthetic(config.model_dump()) else None,
        frames=config.frames or "as many as there are",
        facts=[(name, markdown_text(value)) for name, value in _facts(config, results or {})],
        selection=_selection(config),
        tables=[(None if name == ONLY else name, table) for name, table in tables],
        training_sets=[
            (markdown_text(one.title), one.patients, one.cycles, markdown_text(one.licence or NOT_KNOWN))
            for one in config.training_sets or ()
        ],
        reports={markdown_text(name): report for name, report in (reports or {}).items()},
        timeline=_timeline(config),
        remarks=[markdown_text(remark) for remark in remarks],
        safetensors=any(f"{name}.safetensors" in config.files for name in WEIGHTS) or not config.files,
        detector=_describe_detector(config),
        novelty=config.novelty is not None and config.novelty.available,
    )
    return f"{str(card).rstrip()}\n"


def _timeline(config: ModelConfig) -> dict[str, str] | None:
    """Return how recordings are processed as texts, None where the folder recommends nothing."""
    rule = config.timeline
    if rule is None:
        return None
    return {
        "window": f"{rule.window:g}",
        "hop": f"{rule.hop:g}",
        "merging": rule.merging,
        "min_duration": f"{rule.min_duration:g}",
        "thresholds": ", ".join(f"{name} (probability from {value:g})" for name, value in rule.thresholds.items()),
        "data": markdown_text(rule.data or ""),
    }


def _selected_scores(config: ModelConfig, results: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Return the scores of the exported checkpoint by test set, none where the results are of another epoch."""
    scores = (results or {}).get("selected", {}).get(config.select)
    return scores.get("tests", {ONLY: scores}) if scores and scores["epoch"] == config.epoch else {}


def _metadata(config: ModelConfig, results: dict[str, Any] | None, scores: dict[str, dict[str, Any]]) -> ModelCardData:
    """Return the header of the card as the hub defines it, with the scores in its ``model-index``."""
    entries = None
    if results and scores:
        entries = [
            EvalResult(
                task_type="audio-classification",
                task_name="classification of breathing cycles",
                dataset_type=re.sub(r"[^A-Za-z0-9_.-]+", "_", str(results["experiment"])),  # what the hub admits
                dataset_name=printable(f"{_words(test_set)}, split: {results['protocol']['split']}"),
                # Results of one data set and split are joined; so that those of test sets are not, each is a split.
                dataset_split=None if test_set == ONLY else test_set,
                metric_type=kind,
                metric_name=f"{name}, {task}, percent",
                metric_value=round(of_test_set[task][key], 2),
            )
            for test_set, of_test_set in scores.items()
            for task in TASKS
            for key, name, kind in SCORES
        ]
    return ModelCardData(
        license="apache-2.0",
        library_name="speechbrain",
        pipeline_tag="audio-classification",
        tags=TAGS,
        model_name=config.model if entries else None,
        eval_results=entries,
    )


def _facts(config: ModelConfig, results: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the rows of the table about data, training and selection."""
    protocol = config.protocol
    yield "experiment", config.experiment or NOT_KNOWN
    yield "data", config.data or NOT_KNOWN
    yield "split", (protocol and protocol.split) or NOT_KNOWN
    valid = (protocol and protocol.valid) or NOT_KNOWN
    yield "validation", VALIDATION.get(valid, valid)
    yield "epoch", config.epoch if config.epoch is not None else NOT_KNOWN
    yield "seed", config.seed if config.seed is not None else NOT_KNOWN
    yield "temperature", _temperature(config)
    yield "unlike the training sounds", _describe_false_alarms(config)
    yield "uncertain", _describe_uncertainty(config)
    if config.teacher:
        yield "teacher", f"{config.teacher}: embeddings that the encoder learned to reproduce"
    if results:
        pretrained = results.get("pretrained")
        name = str(pretrained["source"]).replace("\\", "/").rpartition("/")[2] if pretrained else None
        yield "initial weights", f"{name} (SHA-256 {pretrained['sha256']})" if pretrained else "random"
        yield "encoder parameters", f"{results['parameters']:,}"
        yield "trained on", f"{results['device']}, {results['precision']['training']}"
    yield "commit", config.commit or NOT_KNOWN
    yield "versions", ", ".join(f"{name} {version}" for name, version in config.versions.items())


def _temperature(config: ModelConfig) -> str:
    calibration = read_calibration(config.calibration.model_dump() if config.calibration else None)
    if calibration.temperature is None:
        return f"none: {calibration.reason}"
    return f"{calibration.temperature:.3f}, fitted on validation cycles; applied only on request (calibrated)"


def _describe_detector(config: ModelConfig) -> str:
    """Return what the card says of other sounds than lung sounds."""
    if config.novelty is None or not config.novelty.available:
        return "any sound gets a class, and this folder has no detector of unlike sounds"
    return (
        "any sound gets a class. Sounds that move unlike the training sounds, such as steady noise, tones, hum, "
        "speech and music, are flagged `unlike_training`, and their class means nothing. A sound that is not flagged "
        "may still be no lung sound"
    )


def _describe_false_alarms(config: ModelConfig) -> str:
    stored = config.novelty
    if stored is None or stored.reason is not None:
        return f"not flagged: {stored.reason if stored else 'there is no detector'}"
    rates = [
        f"{100 * rate.false_alarms:.1f} % of {rate.sounds} {kind}"
        for kind, rate in stored.false_alarms.items()
        if rate.sounds
    ]
    wanted = stored.wanted_false_alarm_rate
    limit = "" if wanted is None else f" (limit set at {100 * wanted:g} %)"
    return f"flagged{limit}; of the validation sounds that is {', '.join(rates) or NOT_KNOWN}"


def _describe_uncertainty(config: ModelConfig) -> str:
    stored = config.uncertainty
    if stored is None:
        return NOT_KNOWN
    text = f"where the probability of the class is below {stored.below:g}"
    if stored.share is None:
        return text
    parts = [f"{100 * stored.share:.1f} % of the validation cycles"]
    if stored.wrong is not None:
        parts.append(f"{100 * stored.wrong:.0f} % of them wrong")
    if stored.wrong_otherwise is not None:
        parts.append(f"against {100 * stored.wrong_otherwise:.0f} % of the others")
    return f"{text}: {', '.join(parts)}"


def _selection(config: ModelConfig) -> str:
    rule = config.protocol.selection.get(config.select or "") if config.protocol else None
    if rule is None:
        return f"How the checkpoint was selected is {NOT_KNOWN}, except for the name of the rule: {config.select}."
    warning = " **The test set selected it, so its scores on the test set are optimistic.**" if "test" in rule else ""
    return f"How the checkpoint was selected: {markdown_text(rule)}.{warning}"


def _words(test_set: str) -> str:
    return "test cycles" if test_set == ONLY else f"test set {test_set}"


def _score_tables(scores: dict[str, Any]) -> dict[str, Any]:
    """Return the cells of the card's two tables of scores."""
    return {
        "cycles": scores["cycles"],
        "rows": [(name, *(_value(scores, task, key) for task in TASKS)) for key, name, _ in SCORES],
        "recall": [(markdown_text(label), f"{recall:.2f}") for label, recall in scores["recall"].items()],
        "intervals": "intervals" in scores,
    }


def _value(scores: dict[str, Any], task: str, key: str) -> str:
    interval = (scores.get("intervals") or {}).get(task, {}).get(key)
    text = f"{scores[task][key]:.2f}"
    return f"{text} ({interval[0]:.2f} to {interval[1]:.2f})" if interval else text
