"""Experiments and grids by name: those of the folder ``hparams`` come with the package."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def hparams_folder() -> Path:
    """Return the folder of the experiments and grids that come with the package.

    It is part of an installed package, and lies beside the package in a clone.

    Example
    -------
    >>> (hparams_folder() / "lung_srad.yaml").is_file()
    True
    """
    installed = _PACKAGE / "hparams"
    return installed if installed.is_dir() else _PACKAGE.parent / "hparams"


def find_file(name: str | Path, folder: str | Path = "") -> Path:
    """Return the file that the name of an experiment or a grid means.

    A file that exists is meant itself. Where there is none, ``lung_srad``, ``lung_srad.yaml`` and
    ``hparams/lung_srad.yaml`` mean the file that comes with the package.

    Arguments
    ---------
    name : str or Path
    folder : str or Path
        What the name is relative to; by default the current folder.

    Returns
    -------
    Path
        The path in ``folder`` too where the name means no file.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> find_file("dass", folder) == find_file("hparams/dass.yaml", folder) == hparams_folder() / "dass.yaml"
    True
    >>> find_file("./dass.yaml", folder).is_file()
    False
    """
    path = Path(folder, name)
    if path.is_file() or str(name).startswith(".") or Path(name).parent not in (Path(), Path("hparams")):
        return path
    known = hparams_folder() / (path.name if path.suffix == ".yaml" else f"{path.name}.yaml")
    return known if known.is_file() else path
