"""Features of cycles computed once and kept on disk.

The front end is deterministic, so its output can be kept: an epoch then reads half a megabyte a cycle instead of
decoding, resampling and transforming. Each file's name is a hash of everything the features depend on; a change of any
setting, or of the recording, makes another name, and a stale entry is never read.
"""

import hashlib
import json
import os
import tempfile
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from lung_srad_plugin.audio.cycles import cut_cycle
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.errors import LungSRADError

# Raise it when the meaning of the settings below changes, so that entries written before are left unread.
LAYOUT = 1


class FeatureCache:
    """The front end of training: a cycle's place in a recording in, its features out.

    Arguments
    ---------
    folder : str, Path or None
        Where to keep the features, about 0.5 MB a cycle. ``None`` keeps nothing and computes each time.
    compute_features : torch.nn.Module
        Waveforms ``(B, samples)`` to features ``(B, T, F)``, for example ``KaldiFbank``. Its ``repr`` must tell all its
        settings: it is part of the key.
    duration : float
        Seconds that every cycle is repeated or cut to.
    sample_rate : int
        Samples a second of the waveforms.

    Example
    -------
    >>> from lung_srad_plugin import FeatureCache, KaldiFbank
    >>> import soundfile, numpy as np
    >>> wav = getfixture("tmp_path") / "breath.wav"
    >>> soundfile.write(wav, 0.1 * np.sin(np.arange(48000) / 9.0), 16000)
    >>> cache = FeatureCache(wav.parent / "features", KaldiFbank(frames=256))
    >>> cache(wav, start=0.5, stop=2.0).shape
    torch.Size([256, 128])
    """

    def __init__(self, folder, compute_features, duration=8.0, sample_rate=16000):
        self.folder = None if folder is None else Path(folder)
        self.compute_features = compute_features
        self.duration = duration
        self.sample_rate = sample_rate

    def __call__(self, wav, start, stop):
        """Return the features ``(T, F)`` of the cycle from ``start`` to ``stop`` seconds of the recording ``wav``."""
        entry = self._entry(wav, start, stop)
        if entry is not None and entry.exists():
            return torch.from_numpy(np.load(entry))
        features = self._compute(load_recording(wav, self.sample_rate), start, stop, wav)
        if entry is not None:
            _save(entry, features.numpy())
        return features

    def fill(self, rows, progressbar=True):
        """Compute what is not there yet, decoding each recording once.

        Arguments
        ---------
        rows : list of dict
            Rows of a manifest with ``wav``, ``start`` and ``stop``.
        progressbar : bool
            Whether to show one.

        Returns
        -------
        int
            How many cycles were computed.
        """
        if self.folder is None:
            return 0
        missing = [row for row in rows if not self._entry(row["wav"], row["start"], row["stop"]).exists()]
        missing.sort(key=lambda row: (row["wav"], float(row["start"])))
        recordings = [(wav, list(cycles)) for wav, cycles in groupby(missing, key=lambda row: row["wav"])]
        for wav, cycles in track(recordings, "Computing features", disable=not progressbar or not missing):
            recording = load_recording(wav, self.sample_rate)
            for row in cycles:
                features = self._compute(recording, row["start"], row["stop"], wav)
                _save(self._entry(wav, row["start"], row["stop"]), features.numpy())
        return len(missing)

    def _compute(self, recording, start, stop, wav):
        cycle = cut_cycle(recording, float(start), float(stop), self.duration, self.sample_rate, name=str(wav))
        with torch.no_grad():
            return self.compute_features(cycle.unsqueeze(0)).squeeze(0)

    def _entry(self, wav, start, stop):
        if self.folder is None:
            return None
        wav = Path(wav)
        try:
            stat = wav.stat()
        except FileNotFoundError:
            raise LungSRADError(
                f"{wav}: no such recording; check the data folder that the manifest is read with"
            ) from None
        settings = {
            "layout": LAYOUT,
            "front_end": repr(self.compute_features),
            "duration": self.duration,
            "sample_rate": self.sample_rate,
            "recording": [str(wav.resolve()), stat.st_size, stat.st_mtime_ns],
            "cycle": [float(start), float(stop)],
        }
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        return self.folder / key[:2] / f"{key}.npy"


def _save(entry, features):
    """Write under another name first, so that a kill or a full disk leaves no half entry to be read later."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=entry.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, features)
        Path(partial).replace(entry)
    except OSError as error:
        Path(partial).unlink(missing_ok=True)
        raise LungSRADError(
            f"{entry.parent}: cannot keep features here ({error.strerror}); free some space, choose another cache "
            "folder, or set it to null to compute features anew each time"
        ) from error
