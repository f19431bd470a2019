"""The embeddings of cycles by a model that does not change: computed once and kept on disk."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lung_srad_plugin.audio.feature_cache import cache_entry, identify_recording, keep_entry, read_entry
from lung_srad_plugin.evaluation.predict import cut_clips
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.predict import predict

logger = logging.getLogger(__name__)

# Raise it when the meaning of the settings below changes, so that files written before are left unread.
LAYOUT = 1


class EmbeddingCache:
    """Turns cycles into a model's embeddings, which are read where they were kept before.

    Each cycle has a file of its own, so that a stopped computation resumes, and another division of the cycles into
    parts computes nothing anew. Its name is a hash of all that an embedding depends on: the front
    end, the encoder with its weights, the precision, and the recording's path, size and date.

    Arguments
    ---------
    folder : str, Path or None
        Where to keep the embeddings, some 3 KB a cycle. None keeps nothing.
    classifier : LungSoundClassifier
        The model; its head is not used.
    batch_size : int
        Cycles that go through the model at once.

    Example
    -------
    >>> cache = EmbeddingCache(None, LungSoundClassifier.from_hparams())
    >>> import soundfile
    >>> wav = getfixture("tmp_path") / "breath.wav"
    >>> soundfile.write(wav, 0.1 * np.sin(np.arange(48000) / 9.0), 16000)
    >>> cache([{"wav": str(wav), "start": 0.5, "stop": 2.0}]).shape
    (1, 256)
    """

    def __init__(self, folder: str | Path | None, classifier: LungSoundClassifier, batch_size: int = 8):
        self.folder = None if folder is None else Path(folder)
        self.classifier = classifier
        self.batch_size = batch_size
        self.size = classifier.mods.embedding_model.embedding_dim
        self.model = identify_model(classifier)

    def __call__(
        self, rows: Sequence[Mapping[str, Any]], progress: Callable[[int, int], object] | None = None
    ) -> np.ndarray:
        """Return the embeddings (N, D) of the rows of a manifest, float32, in their order.

        Arguments
        ---------
        rows : sequence of dict
            With ``wav``, ``start`` and ``stop``.
        progress : callable, optional
            Called as ``progress(done, total)``, in cycles.

        Raises
        ------
        LungSRADError
            Where a recording cannot be read, or an embedding is not finite.
        """
        entries = [self._entry(row) for row in rows]
        found: list[np.ndarray | None] = []
        faults = []
        for entry in entries:
            values, fault = read_entry(entry, (self.size,))
            found.append(values)
            if fault:
                faults.append(f"{entry} {fault}")
        if faults:
            logger.warning(
                "%s: %d of %d cached embeddings are damaged and are computed again; for example %s",
                *(self.folder, len(faults), len(rows), faults[0]),
            )
        wanted = [index for index, values in enumerate(found) if values is None]
        wanted.sort(key=lambda index: (rows[index]["wav"], index))
        started: list[int] = []

        def clips():
            for index, _, clip in cut_clips(self.classifier, rows, wanted):
                started.append(index)
                yield clip

        done = 0
        for batch in predict(self.classifier, clips(), self.batch_size):
            for index, values in zip(started[done:], batch.embeddings.numpy(), strict=True):
                found[index] = values
                keep_entry(entries[index], values)
            done = len(started)
            if progress is not None:
                progress(len(rows) - len(wanted) + done, len(rows))
        return np.stack([values for values in found if values is not None])

    def _entry(self, row):
        if self.folder is None:
            return None
        cycle = [float(row["start"]), float(row["stop"])]
        recording = identify_recording(row["wav"])
        return cache_entry(self.folder, {"layout": LAYOUT, "model": self.model, "recording": recording, "cycle": cycle})


def identify_model(classifier: LungSoundClassifier) -> str:
    """Return a hash of all that a model's embeddings depend on, except for the recordings."""
    digest = hashlib.sha256(f"{classifier.precision} {classifier.eval_precision}".encode())
    for name in ("compute_features", "mean_var_norm", "embedding_model"):
        module = classifier.mods[name]
        digest.update(f"{name} {module}".encode())
        for key, values in module.state_dict().items():
            digest.update(f"{key} {tuple(values.shape)}".encode())
            digest.update(values.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
