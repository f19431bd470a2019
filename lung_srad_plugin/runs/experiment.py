"""Reading an experiment: a HyperPyYAML file, the file it builds on, and overrides from the command line."""

import difflib
import re
from collections.abc import Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.runs.named_files import find_file

# The cure for a value that only the user can give; the recipe's yaml files mark it with !PLACEHOLDER.
CURES = {
    "data_folder": (
        "the folder of recordings is not given; add --data_folder FOLDER. `lung-srad datasets NAME` says where to get "
        "a data set, for example icbhi or sprsound; `lung-srad synthesize FOLDER` makes a stand-in for icbhi"
    ),
    "pretrained": (
        "the AudioSet weights are not given; add --pretrained FILE_OR_URL (DASS_medium_v2.pth and DASS_small_v2.pth "
        "are released at https://github.com/Saurabhbhati/DASS/releases), --pretrained starter for the weights of "
        "the model that comes with lung-srad (in an encoder of its size), or --pretrained null to start from random "
        "weights"
    ),
}

ABSENT = (
    "no such hyperparameter file; hparams/ holds one for each experiment, and the name of one of them, such as "
    "lung_srad, means it in any folder"
)
SHOWN_SETTINGS = 6
_REFERENCE = re.compile(r"<(\w+)")
# Where things are, and how the same numbers are computed.
NEUTRAL_SETTINGS = (
    *("data_folder", "output_folder", "save_folder", "feature_folder", "train_csv", "valid_csv", "test_csv"),
    *("embedding_folder", "scan_backend", "gradient_checkpointing", "num_workers"),
)
WHOLE_SETTINGS = ("sampling_weights", "test_csv")
"""Mappings whose keys are the user's: a change replaces the whole mapping. Any other is merged with what it changes."""


def read_experiment(
    path: str | Path, overrides: Mapping[str, Any] | None = None, origin: str = "the command line"
) -> tuple[Path, dict[str, Any]]:
    """Join an experiment with what it builds on.

    A file whose key ``base`` names another file, relative to its own folder, or one that comes with the package, such
    as ``lung_srad.yaml``, holds nothing but what it changes there.
    So an ablation is as short as its difference, and is read just like overrides on the command line. A mapping changes
    the values it names; one with another tag than it had before, such as ``!new:my_package.Encoder``, takes the place
    of the whole. A file may add keys that it refers to itself.

    Arguments
    ---------
    path : str or Path
        The experiment's yaml file.
    overrides : Mapping, optional
        Values that replace the file's, by key.
    origin : str
        Where the overrides come from, for messages.

    Returns
    -------
    (Path, dict)
        The file at the end of the chain of bases, and the changes to make to it: what ``load_experiment`` and
        ``resolved_text`` take.

    Raises
    ------
    LungSRADError
        Where a file is absent or no yaml, where bases run in a circle, or where an override names a key that no file
        has, or that only what was replaced referred to.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "paper.yaml").write_text("lr: 0.1\\nepochs: 50\\n")
    >>> _ = (folder / "short.yaml").write_text("base: paper.yaml\\nepochs: 1\\n")
    >>> base, changes = read_experiment(folder / "short.yaml", {"lr": 0.2})
    >>> base.name, dict(changes)
    ('paper.yaml', {'epochs': 1, 'lr': 0.2})
    """
    file = Path(path)
    changes: list[tuple[Mapping[str, Any], str]] = []
    if overrides:
        changes.append((dict(overrides), origin))
    seen = []
    tree = parse_file(file, ABSENT)
    while "base" in tree:
        seen.append(file.resolve())
        changes.append(({key: value for key, value in tree.items() if key != "base"}, str(file)))
        file = find_file(tree["base"], file.parent)
        if file.resolve() in seen:
            raise LungSRADError(f"{file}: its `base` leads back to itself")
        tree = parse_file(file, ABSENT)
    known, merged = set(tree), dict[str, Any]()
    original, referred = parse_file(file, ABSENT), _references(tree)
    for change, source in reversed(changes):
        known |= _references(change) if source != origin else set()
        unknown = sorted(set(change) - known)
        if unknown:
            names = name_unknown_keys(unknown, list(tree))
            raise LungSRADError(f"{source}: {file} has no key {names}, so it would change nothing")
        known |= set(change)
        _merge(merged, change, original)
        _merge(tree, change, original)
        unused = sorted(set(change) & referred - _references(tree))
        if unused:
            raise LungSRADError(
                f"{source}: {', '.join(unused)} would change nothing: it belongs to what the experiment replaced, such "
                "as the encoder of its base; leave it out"
            )
        referred |= _references(change)
    return file, merged


def resolved_text(base: str | Path, changes: Mapping[str, Any]) -> str:
    """Return the yaml text of an experiment with its changes made and its references resolved.

    Arguments
    ---------
    base, changes
        What ``read_experiment`` returned.

    Example
    -------
    >>> file = getfixture("tmp_path") / "short.yaml"
    >>> _ = file.write_text("lr: 0.1\\nlow: !ref <lr>\\nsampling_weights: null\\n")
    >>> resolved_text(file, {"lr": 0.2, "sampling_weights": {"icbhi": 1.0}})
    'lr: 0.2\\nlow: 0.2\\nsampling_weights:\\n  icbhi: 1.0\\n'
    """
    return resolve_references(_changed_text(base, changes)).getvalue()


def load_experiment(base: str | Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Build the objects of an experiment from what ``read_experiment`` returned.

    Raises
    ------
    LungSRADError
        Where a value is missing that only the user can give.
    """
    with _naming_missing_values(base):
        return load_hyperpyyaml(_changed_text(base, changes))


def _changed_text(base, changes):
    """Return a stream of the base's yaml text with these changes; HyperPyYAML itself would keep a replaced tag."""
    tree = parse_file(Path(base), ABSENT)
    _merge(tree, changes, tree)
    text = StringIO()
    YAML().dump(tree, text)
    text.seek(0)
    text.name = str(base)  # HyperPyYAML opens included files relative to it
    return text


def _merge(tree, changes, original):
    """Change a tree in place. ``original`` says which tag a mapping without one has."""
    for key, value in changes.items():
        present = tree.get(key)
        before = original.get(key) if isinstance(original, dict) else None
        if isinstance(value, dict) and isinstance(present, dict) and key not in WHOLE_SETTINGS:
            tag = _tag(value)
            if tag is None or tag == (_tag(present) or _tag(before)):
                _merge(present, value, before)
                continue
        tree[key] = value


def _references(tree):
    """Return the top-level keys that ``!ref`` or ``!copy`` anywhere in a tree refers to."""
    if isinstance(tree, dict | list):
        return set().union(*map(_references, tree.values() if isinstance(tree, dict) else tree))
    return set(_REFERENCE.findall(tree.value)) if _tag(tree) in ("!ref", "!copy") else set()


def experiment_settings(base: str | Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each key of an experiment, with references resolved, without building its objects.

    Two experiments with equal settings are the same experiment, whatever files and overrides they were made of.

    Arguments
    ---------
    base, changes
        What ``read_experiment`` returned.

    Returns
    -------
    dict
        By key, numbers, texts, lists and dicts as JSON has them. What is to be built is text: its tag and arguments.

    Raises
    ------
    LungSRADError
        Where a value is missing that only the user can give.

    Example
    -------
    >>> file = getfixture("tmp_path") / "short.yaml"
    >>> _ = file.write_text("lr: 0.1\\nopt: !name:torch.optim.Adam\\n    lr: !ref <lr>\\n")
    >>> experiment_settings(*read_experiment(file, {"lr": 0.2}))
    {'lr': 0.2, 'opt': '!name:torch.optim.Adam {lr: 0.2}'}
    """
    with _naming_missing_values(base):
        tree = YAML().load(resolved_text(base, changes))
    return {key: _plain(value) for key, value in tree.items()}


def differing_settings(settings: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain settings, those that build nothing, in which an experiment differs from another.

    Returns
    -------
    dict
        By key, the first one's value.

    Example
    -------
    >>> differing_settings({"lr": 0.2, "opt": "!name:Adam {lr: 0.2}"}, {"lr": 0.1, "opt": "!name:Adam {lr: 0.1}"})
    {'lr': 0.2}
    """
    return {
        key: value
        for key, value in settings.items()
        if (key not in reference or value != reference[key]) and "!" not in str(value)
    }


def describe_difference(stored: Mapping[str, Any], requested: Mapping[str, Any]) -> str:
    """Describe the settings that differ between a stored run and a requested one; empty text where none differ.

    Example
    -------
    >>> describe_difference({"lr": 0.1, "frames": 64}, {"lr": 0.2, "frames": 64})
    'lr is 0.1 there, 0.2 was asked for'
    """
    keys = list(differing_settings(requested, stored)) + [key for key in stored if key not in requested]
    # Where only an object's arguments differ, such as a constant of the recipe's yaml.
    keys = keys or [key for key in requested if stored.get(key) != requested[key]]
    parts = [f"{key} is {stored.get(key, 'absent')} there, {requested.get(key, 'none')} was asked for" for key in keys]
    more = f"; and {len(parts) - SHOWN_SETTINGS} more" if len(parts) > SHOWN_SETTINGS else ""
    return "; ".join(parts[:SHOWN_SETTINGS]) + more


def _plain(node):
    if isinstance(node, dict):
        value = {key: _plain(item) for key, item in node.items()}
    elif isinstance(node, list):
        value = [_plain(item) for item in node]
    else:
        value = getattr(node, "value", node)
    tag = _tag(node)
    if tag is None:
        return value
    if isinstance(value, dict):
        value = "{" + ", ".join(f"{key}: {item}" for key, item in value.items()) + "}"
    return f"{tag} {value}".rstrip()


@contextmanager
def _naming_missing_values(base):
    try:
        yield
    except ValueError as error:
        for key, cure in CURES.items():
            if str(error).startswith(f"'{key}' is a !PLACEHOLDER"):
                raise LungSRADError(f"{base}: {cure}") from None
        raise


def is_placeholder(value: Any) -> bool:
    """Return whether a value of a file that ``parse_file`` read is one that only the user can give."""
    return _tag(value) == "!PLACEHOLDER"


def _tag(node):
    return getattr(getattr(node, "tag", None), "value", None)


def parse_file(path: Path, absent: str) -> dict[str, Any]:
    """Return the keys and values of a yaml file, as ``parse_keys``; ``absent`` is the message where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LungSRADError(f"{path}: {absent}") from None
    return parse_keys(text, str(path))


def parse_value(text: str, origin: str) -> Any:
    """Return the value of a setting that was given as text: a number, True, null, a list, a tag, or the text itself.

    Raises
    ------
    LungSRADError
        Where a list, mapping or tag is not complete.

    Example
    -------
    >>> parse_value("0.1", "--lr"), parse_value("[1, 2]", "--dims"), parse_value("a: b#c", "--data_folder")
    (0.1, [1, 2], 'a: b#c')
    """
    if text.startswith(("[", "{", "!", '"', "'")):
        return parse_keys(f"value: {text}", origin)["value"]
    try:
        value = YAML().load(StringIO(text))
    except YAMLError:
        return text
    # A path may look like yaml: a comment, or a key with a value.
    return text if isinstance(value, dict | list | str) else value


def parse_keys(text: str, origin: str) -> dict[str, Any]:
    """Return the keys and values of yaml text, in round-trip form; refuse anything else, naming its ``origin``."""
    try:
        tree = YAML().load(StringIO(text))
    except DuplicateKeyError as error:
        raise LungSRADError(f"{origin}: {error.problem}; give each key once") from None
    except YAMLError as error:
        raise LungSRADError(f"{origin}: not valid yaml: {error}") from error
    if not isinstance(tree, dict):
        raise LungSRADError(f"{origin}: expected `key: value` lines, got {text.strip()[:60]!r}")
    return tree


def name_unknown_keys(keys: list[str], known: list[str]) -> str:
    """Return unknown keys in one phrase, each with the known key that it resembles.

    Example
    -------
    >>> name_unknown_keys(["batch_sise", "xyz"], ["batch_size", "lr"])
    'batch_sise (did you mean batch_size?), xyz'
    """
    phrases = []
    for key in keys:
        close = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
        phrases.append(f"{key} (did you mean {close[0]}?)" if close else key)
    return ", ".join(phrases)
