"""The test sets of a run: one without a name, or several by name, each of which is evaluated by itself."""

from collections.abc import Iterable, Mapping

from lung_srad_plugin.errors import LungSRADError

ONLY = "test"
"""What the test set is called where it is the only one and has no name."""


def named_manifests(test_csv: str | Mapping[str, str]) -> dict[str, str]:
    """Return the manifest of each test set by its name, of the setting ``test_csv``.

    Example
    -------
    >>> named_manifests("test.csv"), named_manifests({"inter": "a.csv", "intra": "b.csv"})
    ({'test': 'test.csv'}, {'inter': 'a.csv', 'intra': 'b.csv'})
    """
    return dict(test_csv) if isinstance(test_csv, Mapping) else {ONLY: test_csv}


def part_of(name: str) -> str:
    """Return the part of the data that a test set is, beside ``train`` and ``valid``.

    Example
    -------
    >>> part_of("test"), part_of("inter")
    ('test', 'test_inter')
    """
    return ONLY if name == ONLY else f"{ONLY}_{name}"


def test_set_of(part: str) -> str:
    """Return the test set that a part of the data is.

    Example
    -------
    >>> test_set_of("test"), test_set_of("test_inter")
    ('test', 'inter')
    """
    return part.removeprefix(f"{ONLY}_")


def choose_test_set(names: Iterable[str], asked: str | None, run: object) -> str:
    """Return the test set that was asked for, or the only one.

    Arguments
    ---------
    names : iterable of str
        Those of the run.
    asked : str or None
    run : object
        The run, for messages.

    Raises
    ------
    LungSRADError
        Where the run has no such test set, or several and none was asked for.

    Example
    -------
    >>> choose_test_set(["inter", "intra"], None, "results/1")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: results/1: has the test sets inter, intra; choose one with --test-set
    """
    names = list(names)
    if asked is None and len(names) == 1:
        return names[0]
    if asked not in names:
        problem = f"has no test set {asked}; it " if asked is not None else ""
        raise LungSRADError(f"{run}: {problem}has the test sets {', '.join(names)}; choose one with --test-set")
    return asked
