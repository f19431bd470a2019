"""Features of cycles computed once and kept on disk.

The front end is deterministic, so its output can be kept: an epoch then reads half a megabyte a cycle instead of
decoding, resampling and transforming. Each file's name is a hash of everything the features depend on: another
setting, or a recording of another size or date, is another name. What is read is checked: files get cut off, mixed up
or damaged.
"""

import hashlib
import io
import json
import logging
import os
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lung_srad_plugin.audio.fbank import KaldiFbank
from lung_srad_plugin.audio.features import CycleFeatures
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.progress import track

logger = logging.getLogger(__name__)

# Raise it when the meaning of the settings or the form of a file changes, so that files written before are left unread.
LAYOUT = 2

CHECKSUM_BYTES = 4


class FeatureCache:
    """Turns a cycle of a recording into its features, which are read where they were kept before.

    Each file is checked when it is read: its checksum, and that it holds finite float32 values of the right shape. That
    takes 0.5 ms for half a megabyte. What fails is computed again, with one warning.

    Arguments
    ---------
    folder : str, Path or None
        Where to keep the features, about 0.5 MB a cycle. ``None`` keeps nothing and computes each time.
    compute_features : CycleFeatures
        The front end. In the settings of runs of version 0.1 it is a ``KaldiFbank``.
    duration, sample_rate : float, int, optional
        Seconds of a cycle, and Hz. Only a ``KaldiFbank`` needs them; it has 8 s and 16 kHz where they are left out.

    Raises
    ------
    LungSRADError
        Where ``compute_features`` is neither of these, or has another duration or sample rate than is given.

    Example
    -------
    >>> from lung_srad_plugin import CycleFeatures, FeatureCache
    >>> import soundfile, numpy as np
    >>> wav = getfixture("tmp_path") / "breath.wav"
    >>> soundfile.write(wav, 0.1 * np.sin(np.arange(48000) / 9.0), 16000)
    >>> cache = FeatureCache(wav.parent / "features", CycleFeatures(frames=256))
    >>> cache(wav, start=0.5, stop=2.0).shape
    torch.Size([256, 128])
    """

    def __init__(
        self,
        folder: str | Path | None,
        compute_features: CycleFeatures | KaldiFbank,
        duration: float | None = None,
        sample_rate: int | None = None,
    ):
        if not isinstance(compute_features, CycleFeatures):
            compute_features = CycleFeatures.around(compute_features, duration or 8.0, sample_rate or 16000)
        for key, value in (("duration", duration), ("sample_rate", sample_rate)):
            if value not in (None, getattr(compute_features, key)):
                raise LungSRADError(
                    f"feature_cache: {key} is {value}, but compute_features has {getattr(compute_features, key)}; "
                    "leave it out, the front end is compute_features alone"
                )
        self.folder = None if folder is None else Path(folder)
        self.compute_features = compute_features
        self._warned = False

    def __call__(self, wav: str | Path, start: float, stop: float) -> torch.Tensor:
        """Return the features ``(T, F)`` of the cycle from ``start`` to ``stop`` seconds of the recording ``wav``."""
        entry = self._entry(wav, start, stop)
        features, fault = self._read(entry)
        if features is None:
            features = self._compute(self._prepare(wav), start, stop, wav)
            self._keep(entry, features)
        if fault and not self._warned:
            # Once: a disk that loses one file may lose thousands.
            self._warned = True
            logger.warning("%s: a cached feature file %s; it and others like it are computed again", entry, fault)
        return torch.from_numpy(features)

    def fill(self, rows: Iterable[Mapping[str, Any]], progressbar: bool = True) -> int:
        """Check what is there, and compute what is missing or damaged, decoding each recording once.

        Everything is read for this, some 5 s for the whole of ICBHI 2017, so that no epoch stops for damaged files.

        Arguments
        ---------
        rows : iterable of dict
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
        rows, wanted, faults = list(rows), [], []
        for row in rows:
            entry = self._entry(row["wav"], row["start"], row["stop"])
            features, fault = self._read(entry)
            if features is None:
                wanted.append(row)
            if fault:
                faults.append(f"{entry} {fault}")
        if faults:
            logger.warning(
                "%s: %d of %d cached feature files are damaged and are computed again; for example %s",
                *(self.folder, len(faults), len(rows), faults[0]),
            )
        wanted.sort(key=lambda row: (row["wav"], float(row["start"])))
        recordings = [(wav, list(cycles)) for wav, cycles in groupby(wanted, key=lambda row: row["wav"])]
        for wav, cycles in track(recordings, "Computing features", show=progressbar and bool(wanted)):
            recording = self._prepare(wav)
            for row in cycles:
                features = self._compute(recording, row["start"], row["stop"], wav)
                self._keep(self._entry(wav, row["start"], row["stop"]), features)
        return len(wanted)

    # ---- computing ----

    def _prepare(self, wav):
        return self.compute_features.prepare(load_recording(wav, self.compute_features.sample_rate), name=wav)

    def _compute(self, recording, start, stop, wav):
        cycle = self.compute_features.cut(recording, float(start), float(stop), name=wav)
        with torch.no_grad():
            features = self.compute_features.fbank(cycle).squeeze(0).numpy()
        if not np.isfinite(features).all():
            raise LungSRADError(
                f"{wav}: the features of the cycle from {float(start):g} to {float(stop):g} s are not finite; its "
                "samples are too large, full scale is 1"
            )
        return features

    # ---- files ----

    def _entry(self, wav, start, stop):
        if self.folder is None:
            return None
        settings = {
            "layout": LAYOUT,
            "front_end": repr(self.compute_features),
            "recording": identify_recording(wav),
            "cycle": [float(start), float(stop)],
        }
        return cache_entry(self.folder, settings)

    def _read(self, entry):
        return read_entry(entry, self.compute_features.shape)

    def _keep(self, entry, features):
        keep_entry(entry, features)


def identify_recording(wav: str | Path) -> list:
    """Return what tells a recording from another, and from itself once it is changed: path, size and date.

    Raises
    ------
    LungSRADError
        Where there is no such file.
    """
    wav = Path(wav)
    try:
        stat = wav.stat()
    except FileNotFoundError:
        raise LungSRADError(f"{wav}: no such recording; check the data folder that the manifest is read with") from None
    return [str(wav.resolve()), stat.st_size, stat.st_mtime_ns]


def cache_entry(folder: Path, settings: Mapping[str, Any]) -> Path:
    """Return the file for what depends on these settings, which JSON can hold: its name is their hash."""
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return folder / key[:2] / f"{key}.npy"


def read_entry(entry: Path | None, shape: tuple[int, ...]) -> tuple[np.ndarray | None, str | None]:
    """Return the values of a cache file and None, or None and what is wrong with it: nothing if it is absent.

    Arguments
    ---------
    entry : Path or None
        As of ``cache_entry``; None where nothing is kept.
    shape : tuple of int
        What the file must hold.

    Raises
    ------
    LungSRADError
        Where the file is there and cannot be read.
    """
    if entry is None:
        return None, None
    try:
        content = entry.read_bytes()
    except FileNotFoundError:
        return None, None
    except OSError as error:
        raise LungSRADError(
            f"{entry}: cached features cannot be read ({error.strerror}); check the cache folder, or choose another"
        ) from error
    return decode_features(content, entry.stem, shape)


def keep_entry(entry: Path | None, features: np.ndarray) -> None:
    """Write a cache file, under another name first: a kill or a full disk leaves no half file to be read later.

    Raises
    ------
    LungSRADError
        Where it cannot be written.
    """
    if entry is None:
        return
    partial = None
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=entry.parent, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(encode_features(features, entry.stem))
        Path(partial).replace(entry)
    except OSError as error:
        if partial is not None:
            Path(partial).unlink(missing_ok=True)
        raise LungSRADError(
            f"{entry.parent}: cannot keep features here ({error.strerror}); free some space, choose another cache "
            "folder, or set it to null to compute features anew each time"
        ) from error


def encode_features(features: np.ndarray, key: str) -> bytes:
    """Return the bytes of a cache file: NumPy's format, and a CRC-32 of the key and of those bytes.

    Example
    -------
    >>> content = encode_features(np.zeros((2, 3), np.float32), "a key")
    >>> np.load(io.BytesIO(content)).shape
    (2, 3)
    """
    buffer = io.BytesIO()
    np.save(buffer, features)
    content = buffer.getvalue()
    return content + zlib.crc32(content, zlib.crc32(key.encode())).to_bytes(CHECKSUM_BYTES, "little")


def decode_features(content: bytes, key: str, shape: tuple[int, ...]) -> tuple[np.ndarray | None, str | None]:
    """Return the array in the bytes of a cache file, or say why it is not to be used.

    Arguments
    ---------
    content : bytes
        Of the file.
    key : str
        What the file's name says that it holds.
    shape : tuple of int
        Of the features, such as (T, F).

    Returns
    -------
    (numpy.ndarray or None, str or None)
        The features, float32, or what is wrong, as the rest of a sentence about the file.

    Example
    -------
    >>> content = encode_features(np.zeros((2, 3), np.float32), "a key")
    >>> decode_features(content, "another key", (2, 3))
    (None, 'has a wrong checksum')
    """
    # A view: copying half a megabyte would take longer than the checksum.
    body, checksum = memoryview(content)[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
    if zlib.crc32(body, zlib.crc32(key.encode())).to_bytes(CHECKSUM_BYTES, "little") != checksum:
        return None, "has a wrong checksum"
    features = np.load(io.BytesIO(content), allow_pickle=False)
    if features.shape != tuple(shape) or features.dtype != np.float32:
        return None, f"holds {features.dtype} of shape {features.shape} instead of float32 of shape {tuple(shape)}"
    if not np.isfinite(features).all():
        return None, "holds values that are not finite"
    return features, None
