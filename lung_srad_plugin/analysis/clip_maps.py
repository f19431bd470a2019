"""Where in a clip a classifier's decision comes from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lung_srad_plugin.analysis.decision import PREDICTED, Decision, target_classes
from lung_srad_plugin.analysis.explain import METHODS, Explanation, explain
from lung_srad_plugin.analysis.map_cells import CELL_SECONDS, ROWS, MapCells, divide_features
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.predict import Clip, check_finite


@dataclass(frozen=True)
class ExplainedClip:
    """A clip, the model's answer, and the maps of where that comes from.

    Arguments
    ---------
    label : str
        The most probable class.
    probabilities : dict
        Class name to probability.
    target : str
        What is explained: a class, or ``"abnormal"``.
    feats : torch.Tensor
        (T,F) log-mel energies before they are normalised.
    explanation : Explanation
    """

    label: str
    probabilities: dict[str, float]
    target: str
    feats: torch.Tensor
    explanation: Explanation


def clip_cells(classifier: LungSoundClassifier) -> MapCells:
    """Return the cells in which maps of a classifier's clips are compared: of 0.2 s, and an eighth of the mel axis."""
    frames, mels = classifier.mods.compute_features.shape
    columns = max(1, min(frames, round(classifier.window / CELL_SECONDS)))
    return divide_features(frames, mels, min(ROWS, mels), columns)


def explain_clip(
    classifier: LungSoundClassifier,
    clip: Clip,
    methods: Sequence[str] = METHODS[:2],
    target: str = PREDICTED,
    generator: torch.Generator | None = None,
) -> ExplainedClip:
    """Explain the decision about one clip, in float32 whatever the classifier's precision is.

    Arguments
    ---------
    classifier : LungSoundClassifier
    clip : Clip
    methods, generator
        As for ``explain``.
    target : str
        As for ``target_classes``.

    Returns
    -------
    ExplainedClip

    Raises
    ------
    LungSRADError
        As ``explain``; and where there is no such class or the result is not finite.
    """
    feats, normalised, probabilities = run_clip(classifier, clip)
    chosen = target_classes(target, classifier.labels, probabilities)
    decision = Decision(classifier.mods.embedding_model, classifier.mods.classifier, chosen)
    explanation = explain(decision, normalised, clip_cells(classifier), methods, generator)
    by_label = dict(zip(classifier.labels, probabilities, strict=True))
    name = classifier.labels[chosen[0]] if target == PREDICTED else target
    return ExplainedClip(max(by_label, key=by_label.__getitem__), by_label, name, feats[0].cpu(), explanation)


@torch.no_grad()
def run_clip(classifier: LungSoundClassifier, clip: Clip) -> tuple[torch.Tensor, torch.Tensor, list[float]]:
    """Return the features (1,T,F) of a clip, the same normalised, and its probabilities; in float32."""
    feats = classifier.mods.compute_features.fbank(clip.waveform[None].to(classifier.device))
    lens = torch.ones(1, device=feats.device)
    normalised = classifier.mods.mean_var_norm(feats, lens)
    log_probs = classifier.mods.classifier(classifier.mods.embedding_model(normalised, lens)).squeeze(1)
    check_finite([log_probs], [clip.name], clip.waveform[None])
    return feats, normalised, log_probs[0].double().exp().tolist()
