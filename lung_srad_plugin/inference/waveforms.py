"""Batches of waveforms that are given directly, checked."""

from __future__ import annotations

import numpy as np
import torch

from lung_srad_plugin.errors import LungSRADError


def check_waveforms(waveforms: torch.Tensor | np.ndarray, sample_rate: int | None, expected_rate: int) -> torch.Tensor:
    """Return waveforms as a float32 tensor (B, samples).

    Arguments
    ---------
    waveforms : torch.Tensor or numpy array
        (B, samples) or (samples,), floats with full scale at 1.
    sample_rate : int or None
        Of the waveforms in Hz, as far as the caller knows; None where not.
    expected_rate : int
        That of the model.

    Raises
    ------
    LungSRADError
        Where type, shape, values or sample rate do not fit.

    Example
    -------
    >>> check_waveforms(np.zeros(16000), None, 16000).shape
    torch.Size([1, 16000])
    """
    if sample_rate is not None and sample_rate != expected_rate:
        raise LungSRADError(
            f"sample_rate={sample_rate}, but the model processes {expected_rate} Hz; resample the waveforms first, or "
            "give them to classify_file, which does"
        )
    if isinstance(waveforms, np.ndarray) and np.issubdtype(waveforms.dtype, np.floating):
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused below
            waveforms = torch.from_numpy(waveforms.astype(np.float32))
    if not isinstance(waveforms, torch.Tensor) or not waveforms.is_floating_point():
        kind = getattr(waveforms, "dtype", type(waveforms).__name__)
        raise LungSRADError(f"waveforms are {kind}; expected a tensor or numpy array of floats, full scale at 1")
    if waveforms.dim() == 1:
        waveforms = waveforms.unsqueeze(0)
    if waveforms.dim() != 2 or waveforms.numel() == 0:
        raise LungSRADError(
            f"waveforms of shape {tuple(waveforms.shape)}; expected (batch, samples) of one channel, not empty"
        )
    waveforms = waveforms.float()
    if not torch.isfinite(waveforms).all():
        raise LungSRADError("the waveforms hold NaN or infinite samples; expected finite ones")
    return waveforms


def check_lengths(lengths, batch: int, samples: int) -> list[int]:
    """Return the length of each waveform in samples.

    Arguments
    ---------
    lengths : tensor, array or list of float, or None
        (B,) relative to the longest waveform; None means that none is padded.
    batch, samples : int
        Shape of the waveforms.

    Raises
    ------
    LungSRADError
        Where their number is another, or one is not above 0 and at most 1.

    Example
    -------
    >>> check_lengths([1.0, 0.5], batch=2, samples=16000)
    [16000, 8000]
    """
    if lengths is None:
        return [samples] * batch
    lengths = torch.as_tensor(lengths, dtype=torch.float64)
    if lengths.shape != (batch,) or not ((lengths > 0) & (lengths <= 1)).all():
        raise LungSRADError(
            f"wav_lens={lengths.tolist()}; expected {batch} lengths relative to the longest waveform, above 0 and at "
            "most 1"
        )
    return [round(length) for length in (lengths * samples).tolist()]
