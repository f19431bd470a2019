"""Provenance of results: commit, package versions, memory, checksums of files."""

import hashlib
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("lung-srad", "speechbrain", "torch", "torchaudio", "numpy", "numba", "triton", "mamba-ssm", "hyperpyyaml"),
    "transformers",
)


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that results depend on, by name, without those that are not installed.

    Example
    -------
    >>> package_versions()["speechbrain"][:3]
    '1.1'
    """
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def source_commit() -> str | None:
    """Return the git commit of this source tree, with ``-dirty`` where files were changed since; else None."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("-dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def peak_memory_megabytes(device: str) -> float | None:
    """Return the most memory this process has used at once so far, in 1e6 bytes.

    Arguments
    ---------
    device : str or torch.device
        On a GPU, what torch had allocated there; on a CPU, the largest resident size.

    Returns
    -------
    int or None
        None on systems that do not report it.

    Example
    -------
    >>> peak_memory_megabytes("cpu") > 10
    True
    """
    import torch

    if torch.device(device).type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    try:
        import resource
    except ImportError:  # Windows
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(largest * (1 if sys.platform == "darwin" else 1024) / 1e6)


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits.

    Example
    -------
    >>> path = getfixture("tmp_path") / "empty"
    >>> path.touch()
    >>> file_sha256(path)[:8]
    'e3b0c442'
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _git(root, *arguments):
    return subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()
