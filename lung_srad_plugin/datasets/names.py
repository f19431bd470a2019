"""Files of a data folder by the name of their recording, and what is wrong with their names."""

import filecmp
from collections.abc import Callable, Iterable
from pathlib import Path

from lung_srad_plugin.datasets.problems import Problem


def index_by_name(
    paths: Iterable[Path],
    root: Path,
    name_of: Callable[[Path], str | None],
    form: str,
    kind: str,
    alike: Callable[[Path, Path], bool] = lambda one, other: True,
) -> tuple[dict[str, Path], set[str], list[Problem]]:
    """Return files by the name of their recording.

    Arguments
    ---------
    paths : iterable of pathlib.Path
        In the order of preference.
    root : pathlib.Path
        The data folder; problems name files below it.
    name_of : callable
        The recording's name that a file states, ``None`` where it states none.
    form : str
        What names look like, for problems.
    kind : str
        ``"recording"`` or ``"annotation"``: what the files are.
    alike : callable
        Whether two files of one name may stand for each other, apart from their content.

    Returns
    -------
    files : dict
        Name to file, the first where there are several.
    doubtful : set of str
        The names whose files differ, so that none of them can be used.
    problems : list of Problem
        Files with names of another form, and second files of one name.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("a1.wav", "notes.wav"):
    ...     (folder / name).touch()
    >>> stem = lambda path: path.stem if path.stem[-1].isdigit() else None
    >>> files, doubtful, problems = index_by_name(sorted(folder.iterdir()), folder, stem, "a<n>", "recording")
    >>> sorted(files), str(problems[0])
    (['a1'], 'notes.wav: the name is not of the form a<n>')
    """
    groups: dict[str, list[Path]] = {}
    doubtful, problems = set(), []
    for path in paths:
        name = name_of(path)
        if name is None:
            message = f"the name is not of the form {form}"
            problems.append(Problem(path.relative_to(root).as_posix(), message, left_out=kind))
        else:
            groups.setdefault(name, []).append(path)
    for name, (first, *others) in groups.items():
        for other in others:
            same = alike(first, other) and filecmp.cmp(first, other, shallow=False)
            if not same:
                doubtful.add(name)
            difference = "" if same else " and is another file"
            message = f"duplicate: {first.relative_to(root).as_posix()} has the same name{difference}"
            group = f"{{count}} files have the name of another {kind}{'' if same else ' and differ from it'}"
            left_out = "copy" if same else "recording"
            problems.append(Problem(other.relative_to(root).as_posix(), message, left_out=left_out, group=group))
    return {name: group[0] for name, group in groups.items()}, doubtful, problems
