"""Running a model over waveforms: the one loop over batches, and its two halves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import torch

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.forking import check_process
from lung_srad_plugin.inference.reliability import score_novelty

if TYPE_CHECKING:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier


class Clip(NamedTuple):
    """What the model processes at once.

    Arguments
    ---------
    name : str
        What messages call it.
    waveform : torch.Tensor
        (samples,) of the model's duration: cut out of a recording with its fades, and shaped.
    """

    name: str
    waveform: torch.Tensor


class BatchPredictions(NamedTuple):
    """What the model computes for a batch of B clips, on the CPU.

    Arguments
    ---------
    embeddings : torch.Tensor
        (B, D) float32.
    log_probs : torch.Tensor
        (B, C) float32 log-probabilities.
    novelty : torch.Tensor or None
        (B,) float64, how unlike the training sounds each is; None where the model has no detector.
    """

    embeddings: torch.Tensor
    log_probs: torch.Tensor
    novelty: torch.Tensor | None = None

    @classmethod
    def join(cls, batches: Sequence[BatchPredictions]) -> BatchPredictions:
        """Return one batch of all clips of several."""
        scores = [batch.novelty for batch in batches if batch.novelty is not None]
        return cls(
            torch.cat([batch.embeddings for batch in batches]),
            torch.cat([batch.log_probs for batch in batches]),
            torch.cat(scores) if scores else None,
        )

    def part(self, begin: int, end: int) -> BatchPredictions:
        """Return those of some neighbouring clips."""
        novelty = None if self.novelty is None else self.novelty[begin:end]
        return BatchPredictions(self.embeddings[begin:end], self.log_probs[begin:end], novelty)


def predict(
    classifier: LungSoundClassifier, clips: Iterable[Clip], batch_size: int, progress: Callable | None = None
) -> Iterator[BatchPredictions]:
    """Run a model over clips, in their order.

    Arguments
    ---------
    classifier : LungSoundClassifier
    clips : iterable of Clip
        Read a batch at a time.
    batch_size : int
        Clips that go through the model at once.
    progress : callable, optional
        Called with the number of clips done after each batch.

    Yields
    ------
    BatchPredictions

    Raises
    ------
    LungSRADError
        Where the batch size is not a positive whole number, or a result is not finite.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise LungSRADError(f"batch_size={batch_size!r}; expected a whole number, at least 1")
    clips, done = iter(clips), 0
    while batch := list(islice(clips, batch_size)):
        yield predict_batch(classifier, batch)
        done += len(batch)
        if progress is not None:
            progress(done)


@torch.no_grad()
def predict_batch(classifier: LungSoundClassifier, clips: Sequence[Clip]) -> BatchPredictions:
    """Run a model over clips at once.

    Arguments
    ---------
    classifier : LungSoundClassifier
    clips : list of Clip
        At least one.

    Raises
    ------
    LungSRADError
        Where a result is not finite.
    """
    check_process()
    waveforms = torch.stack([clip.waveform for clip in clips])
    # Shaped already: the front end's filterbank follows, without the fades of whole recordings.
    with classifier.inference_ctx:
        feats = classifier.mods.compute_features.fbank(waveforms.to(classifier.device))
    embeddings = embed(classifier, feats)
    log_probs = classify_embeddings(classifier, embeddings)
    novelty = None if classifier.novelty is None else score_novelty(classifier, feats)
    predictions = BatchPredictions(embeddings.squeeze(1).float().cpu(), log_probs.cpu(), novelty)
    results = (result for result in predictions if result is not None)
    check_finite(results, [clip.name for clip in clips], waveforms)
    return predictions


def embed(classifier: LungSoundClassifier, feats: torch.Tensor) -> torch.Tensor:
    """Return the embeddings (B, 1, D) of log-mel features (B, T, F), on the model's device."""
    lens = torch.ones(len(feats), device=feats.device)
    with classifier.inference_ctx:
        return classifier.mods.embedding_model(classifier.mods.mean_var_norm(feats, lens), lens)


def classify_embeddings(classifier: LungSoundClassifier, embeddings: torch.Tensor) -> torch.Tensor:
    """Return the log-probabilities (B, C) of embeddings (B, 1, D), float32."""
    with classifier.inference_ctx:
        return classifier.mods.classifier(embeddings).squeeze(1).float()


def embed_waveforms(classifier: LungSoundClassifier, waveforms: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    """Return the embeddings (B, 1, D) of whole waveforms, each treated as a recording.

    Arguments
    ---------
    classifier : LungSoundClassifier
    waveforms : torch.Tensor
        (B, samples), on the model's device.
    lengths : list of int
        Of each in samples; what lies behind is padding and is left out.

    Raises
    ------
    LungSRADError
        Where a result is not finite.
    """
    check_process()
    embeddings = embed(classifier, waveform_features(classifier, waveforms, lengths))
    check_finite([embeddings], [f"waveform {index}" for index in range(len(waveforms))], waveforms)
    return embeddings


def waveform_features(classifier: LungSoundClassifier, waveforms: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    """Return the log-mel features (B, T, F) of whole waveforms; arguments as for ``embed_waveforms``."""
    features = classifier.mods.compute_features
    with classifier.inference_ctx:
        if len(set(lengths)) == 1:
            return features(waveforms[:, : lengths[0]])
        clips = zip(waveforms, lengths, strict=True)
        return torch.cat([features(waveform[None, :length]) for waveform, length in clips])


def check_finite(results: Iterable[torch.Tensor], names: list[str], waveforms: torch.Tensor | None = None) -> None:
    """Refuse results that are NaN or infinite: they must never leave the program.

    Arguments
    ---------
    results : iterable of torch.Tensor
        (B, ...) each.
    names : list of str
        Of the B waveforms.
    waveforms : torch.Tensor, optional
        (B, samples), of which the message says how loud they are.

    Raises
    ------
    LungSRADError
        Naming the first waveform whose result is not finite.
    """
    for result in results:
        bad = (~torch.isfinite(result)).reshape(len(result), -1).any(dim=1)
        if bad.any():
            index = int(bad.nonzero()[0])
            peak = "" if waveforms is None else f" (the loudest is {float(waveforms[index].abs().max()):.3g})"
            raise LungSRADError(
                f"{names[index]}: the model's result is not finite; expected samples with full scale at 1{peak}; if "
                "they are so, the model's weights are at fault"
            )
