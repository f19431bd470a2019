"""The settings that a run's folder holds: read as data, never run unless the user trusts who made the folder."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.runs.allowed_callables import RUN_CALLABLES, RUN_RULES, TRUST
from lung_srad_plugin.runs.experiment import experiment_settings, resolved_text
from lung_srad_plugin.utils.folders import shorten_name
from lung_srad_plugin.utils.yaml_nodes import Arguments, called_tags, check_yaml


def read_saved_text(path: str | Path, trust_code: bool = False, asked: Iterable[str] = ()) -> str:
    """Return the text of a run's ``hyperparams.yaml``, checked before anything of it is built or resolved.

    Arguments
    ---------
    path : str or Path
        The run's ``hyperparams.yaml``.
    trust_code : bool
        False: it may call what the recipe's experiments call, and nothing else. True: anything.
    asked : iterable of str
        Further tags that it may hold, such as ``!new:my_package.Encoder``: those of the experiment that the user gave.

    Raises
    ------
    LungSRADError
        Where there is no such file, it is no text, or calls what is not allowed.

    Example
    -------
    >>> path = getfixture("tmp_path") / "hyperparams.yaml"
    >>> _ = path.write_text("lr: 0.1\\nwho: !apply:os.getlogin []\\n")
    >>> read_saved_text(path)
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: ...hyperparams.yaml, line 2: !apply:os.getlogin is not allowed; ...
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LungSRADError(f"{path}: no such file; expected the output folder of a training run") from None
    except UnicodeDecodeError as error:
        raise LungSRADError(f"{path}: not a UTF-8 text file ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise LungSRADError(f"{shorten_name(path)}: cannot be read ({error.strerror or error})") from None
    if not trust_code:
        anything = Arguments(names=None, positions=100)
        check_yaml(text, str(path), replace(RUN_RULES, callables=dict.fromkeys(asked, anything) | RUN_CALLABLES), TRUST)
    return text


def experiment_calls(base: str | Path, changes: dict) -> set[str]:
    """Return the tags with which an experiment calls something, of what ``read_experiment`` returned.

    Example
    -------
    >>> path = getfixture("tmp_path") / "short.yaml"
    >>> _ = path.write_text("lr: 0.1\\nopt: !name:torch.optim.Adam {lr: !ref <lr>}\\n")
    >>> experiment_calls(path, {})
    {'!name:torch.optim.Adam'}
    """
    return called_tags(resolved_text(base, changes))


def saved_settings(path: str | Path, trust_code: bool = False, asked: Iterable[str] = ()) -> dict:
    """Return the value of each key of a run's ``hyperparams.yaml``, as ``experiment_settings`` does.

    Arguments
    ---------
    path, trust_code, asked
        As for ``read_saved_text``.

    Example
    -------
    >>> path = getfixture("tmp_path") / "hyperparams.yaml"
    >>> _ = path.write_text("lr: 0.1\\nopt: !name:torch.optim.Adam {lr: 0.1}\\n")
    >>> saved_settings(path)
    {'lr': 0.1, 'opt': '!name:torch.optim.Adam {lr: 0.1}'}
    """
    read_saved_text(path, trust_code, asked)
    return experiment_settings(path, {})
