"""The file that marks a folder of synthetic sounds, and the statement that appears wherever a result comes from one."""

from pathlib import Path

DESCRIPTION_FILE = "SYNTHETIC.json"

TRAINED_ON_SYNTHETIC = (
    "This model was trained on SYNTHETIC sounds: its predictions and scores say nothing about patients"
)
EVALUATED_ON_SYNTHETIC = "The evaluated sounds are SYNTHETIC: these scores say nothing about patients"


def is_synthetic(folder: str | Path | None) -> bool:
    """Return whether a folder was written by ``lung-srad synthesize``.

    Arguments
    ---------
    folder : str, Path or None
        A data folder; it may be gone.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "SYNTHETIC.json").write_text("{}")
    >>> is_synthetic(folder), is_synthetic(folder / "gone"), is_synthetic(None)
    (True, False, False)
    """
    return folder is not None and (Path(folder) / DESCRIPTION_FILE).is_file()


def trained_on_synthetic(stored: dict) -> bool:
    """Return whether a run's ``results.json`` or a model's ``config.json`` is of a model trained on synthetic sounds.

    Version 0.1 had no key for it: its runs named the data folder, its models wrote SYNTHETIC into their data's name.

    Example
    -------
    >>> trained_on_synthetic({"synthetic": True}), trained_on_synthetic({"data": "data, SYNTHETIC sounds: ..."})
    (True, True)
    """
    known = stored.get("synthetic")
    if known is not None:
        return bool(known)
    return "SYNTHETIC" in str(stored.get("data") or "") or is_synthetic(stored.get("data_folder"))
