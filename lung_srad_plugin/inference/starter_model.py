"""The model that comes with the package: where it lies, which names mean it, and one sentence on what it is."""

import os
from pathlib import Path

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_config import ModelConfig

STARTER = "starter"
FOLDER = Path(__file__).parent / STARTER  # package data, written by recipes/SPRSound/make_starter.py


def starter_folder() -> Path:
    """Return the folder of the model that comes with the package.

    Raises
    ------
    LungSRADError
        Where the package was installed without it.
    """
    if not FOLDER.is_dir():
        raise LungSRADError(
            f"{FOLDER}: no such folder; expected the model that comes with the package. Install lung-srad again, or "
            "name the folder of another model"
        )
    return FOLDER


def model_path(name: str | os.PathLike) -> Path:
    """Return the path that a name of a model means: ``starter`` is the model that comes with the package.

    Arguments
    ---------
    name : str or Path
        A ``Path`` is always a path, and so is any text but ``starter``.

    Raises
    ------
    LungSRADError
        Where the text is ``starter``, and the current folder has something of that name too, or the package has no
        such model.

    Example
    -------
    >>> model_path("results/export"), model_path(Path("starter"))
    (PosixPath('results/export'), PosixPath('starter'))
    """
    if name != STARTER:
        return Path(name)
    if os.path.lexists(STARTER):
        raise LungSRADError(
            f"{STARTER}: means the model that comes with the package, and {Path(STARTER).absolute()} has the same "
            f"name; write ./{STARTER} for what is in the current folder, or {FOLDER} for the model of the package"
        )
    return starter_folder()


def describe_starter(config: ModelConfig, cure: str = "--model names another") -> str:
    """Return one line on the model that is used where none is named: its training data and its purpose.

    Arguments
    ---------
    config : ModelConfig
        Of the model that comes with the package.
    cure : str
        How to name another one in the command.

    Example
    -------
    >>> config = ModelConfig(format=1, model="starter-1a2b", labels=["normal", "crackle"], sample_rate=8000,
    ...     duration=4.0, frames=None, versions={}, files={}, training_sets=[{"name": "icbhi", "title": "ICBHI 2017",
    ...     "licence": "CC0", "patients": 28, "cycles": 697}])
    >>> describe_starter(config)
    'no model was named: this is starter-1a2b, which comes with lung-srad, trained on 28 patients of ICBHI 2017; ...'
    """
    sets = [f"{one.patients} patients of {one.title}" for one in config.training_sets or ()]
    data = " and ".join(sets) or "recordings that its folder does not name"
    return (
        f"no model was named: this is {config.model}, which comes with lung-srad, trained on {data}; research use "
        f"only, not a medical device. {cure}"
    )
