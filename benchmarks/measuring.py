"""Timing in turns, peak memory, and the encoders that DASS is compared with, for all benchmarks."""

import ctypes
import statistics
import time
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch

from lung_srad_plugin.encoders.dass import fused_ops, ss2d

FRAMES_PER_SECOND = 128  # 1024 frames for 8 s
MELS = 128
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def time_in_turns(jobs, repeats, device="cpu"):
    """Return the median seconds of each job, after one run of each that is not counted.

    The jobs take turns, so that a busy machine slows all alike.
    """
    seconds = [[] for _ in jobs]
    for repeat in range(repeats + 1):
        for job, record in zip(jobs, seconds, strict=True):
            start = time.perf_counter()
            job()
            if device != "cpu":
                torch.cuda.synchronize()
            if repeat:
                record.append(time.perf_counter() - start)
    return [statistics.median(record) for record in seconds]


def peak_megabytes(job, device="cpu"):
    """Most memory in use during a job beyond that before it, in 1e6 bytes (on a CPU: Linux with glibc only)."""
    if device != "cpu":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        job()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    ctypes.CDLL(None).malloc_trim(0)  # gives back what the C library keeps of earlier calls
    restart_resident_peak()
    before = resident_peak_megabytes()
    job()
    return resident_peak_megabytes() - before


def restart_resident_peak():
    """Count the largest resident size of this process from its present one on."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def resident_peak_megabytes():
    """The largest resident size of this process so far, in 1e6 bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1e6


@contextmanager
def no_scan():
    """Let every SS2D layer scan with a function that returns its input: what is left is the floor."""
    with patch.object(ss2d, "cross_scan_projected", lambda x, *others, **options: x):
        yield


@contextmanager
def plain_calls():
    """Let every product and the function after it be two calls of torch, as they are with gradients."""
    with patch.object(fused_ops, "_fused_type", lambda x: None):
        yield


def make_ast(frames, labels=None):
    """AST-base of random weights for features (B,T,F): the encoder alone, or a classifier of so many labels."""
    try:
        from transformers import ASTConfig, ASTForAudioClassification, ASTModel
    except ImportError as error:
        raise SystemExit(f'AST needs transformers ({error}); pip install "lung-srad[bench]"') from error
    config = ASTConfig(max_length=frames, num_mel_bins=MELS, num_labels=labels or 2)
    return ASTModel(config) if labels is None else ASTForAudioClassification(config)
