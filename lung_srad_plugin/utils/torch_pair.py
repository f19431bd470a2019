"""Which releases of torchaudio can be loaded with a release of torch.

Torchaudio holds code that was compiled for certain releases of torch, and what its packages declare is wider than what
loads: 2.11.1 asks for torch 2.11 or newer, and ends with an undefined symbol below 2.13. Each rule here was tried on
Linux with the wheels of PyPI, by ``import torchaudio``. Where both load but were compiled for different releases of
CUDA, torchaudio says so itself.
"""

from importlib.metadata import PackageNotFoundError, version

from packaging.specifiers import SpecifierSet
from packaging.version import Version


def fitting_torchaudio(torch: str) -> SpecifierSet:
    """Say which releases of torchaudio load with a release of torch.

    Arguments
    ---------
    torch : str
        Version of torch, such as ``2.11.0`` or ``2.11.0+cu130``.

    Returns
    -------
    packaging.specifiers.SpecifierSet

    Example
    -------
    >>> str(fitting_torchaudio("2.8.0"))
    '==2.8.*'
    >>> str(fitting_torchaudio("2.12.1"))
    '==2.11.0'
    """
    major, minor = Version(torch).release[:2]
    if (major, minor) < (2, 11):
        return SpecifierSet(f"=={major}.{minor}.*")
    if (major, minor) < (2, 13):
        return SpecifierSet("==2.11.0")
    return SpecifierSet(">=2.11")


def check_torch_pair() -> None:
    """Refuse a torch and a torchaudio that cannot be loaded together, before either is loaded.

    Where one of them is not installed, nothing is said: the import that needs it will.

    Raises
    ------
    ImportError
        Names both versions and what to install.
    """
    try:
        torch, torchaudio = version("torch"), version("torchaudio")
    except PackageNotFoundError:
        return
    fitting = fitting_torchaudio(torch)
    if not fitting.contains(torchaudio, prereleases=True):
        raise ImportError(
            f"torch {torch} cannot load torchaudio {torchaudio}, which was compiled for another; with this torch: "
            f'pip install "torchaudio{fitting}"'
        )
