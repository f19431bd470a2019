"""``lung-srad classify``: many recordings, one after the other, each result out before the next is begun."""

import contextlib
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from lung_srad_plugin.cli.input_files import find_recordings, result_names
from lung_srad_plugin.errors import LungSRADError

ENDINGS = {"table": "txt", "json": "json", "csv": "csv", "audacity": "txt"}
INTERRUPTED = 130  # what shells report of a program that was interrupted
# Printed where a reader would wonder.
RULE = (
    "The class is the most probable one: it can be normal where P(abnormal) exceeds 0.5, which several classes share."
)


def classify_files(patterns, model, annotations, format, output, plot, hop, batch_size, run_opts, calibrated=False):
    """Classify recordings and print or write the results.

    Arguments
    ---------
    patterns : list of str
        Files, folders, patterns.
    model : str
        A model folder or a hub id.
    annotations : bool
        Whether to classify the cycles of the annotation beside each file.
    format : str
        ``table``, ``json``, ``csv`` or ``audacity``.
    output, plot : Path or None
        Folders for result files and for pictures.
    hop, batch_size : float, int
        As for ``classify_file``.
    run_opts : dict
        As for ``from_hparams``.
    calibrated : bool
        As for ``classify_file``.

    Returns
    -------
    int
        The exit code: 0, 1 where some recordings failed, 130 where it was interrupted.

    Raises
    ------
    LungSRADError
        Where the command makes no sense, before anything is classified.
    """
    recordings = find_recordings(patterns)
    names = result_names(recordings)
    if format == "audacity" and output is None and len(recordings) > 1:
        raise LungSRADError(
            f"an Audacity label track belongs to one recording, and these are {len(recordings)}; add --output FOLDER"
        )
    for folder in (output, plot):
        _make_folder(folder)

    from lung_srad_plugin.inference.classifier import LungSoundClassifier

    classifier = LungSoundClassifier.from_hparams(source=model, run_opts=run_opts)
    failures, done = [], 0
    with _progress() as progress:
        files_task = progress.add_task("recordings", total=len(recordings))
        for recording, name in zip(recordings, names, strict=True):
            part_task = progress.add_task(recording.name, total=None)

            def advance(finished, total, task=part_task):
                progress.update(task, completed=finished, total=total)

            try:
                cycles = recording.with_suffix(".txt") if annotations else None
                result = classifier.classify_file(
                    recording, cycles, hop, batch_size, progress=advance, calibrated=calibrated
                )
                if plot is not None:
                    _plot(result, recording, plot / name.with_name(f"{name.name}.png"))
                _give_out(result, format, output, name, first=done == 0)
                done += 1
            except LungSRADError as error:
                failures.append(error)
                print(f"error: {error}", file=sys.stderr, flush=True)
            except KeyboardInterrupt:
                left = len(recordings) - done - len(failures)
                print(f"interrupted: {left} of {len(recordings)} recordings were not classified", file=sys.stderr)
                return INTERRUPTED
            finally:
                progress.remove_task(part_task)
            progress.advance(files_task)
    if failures:
        print(f"{len(failures)} of {len(recordings)} recordings failed; the reasons are above", file=sys.stderr)
    return 1 if failures else 0


def _make_folder(folder):
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LungSRADError(f"{folder}: cannot be made ({error.strerror}); choose a folder you may write to") from error


def _progress():
    console = Console(stderr=True)
    if not console.is_terminal:
        return _NoProgress()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # On a terminal, results are printed above the bar; elsewhere they must go where standard output goes.
    return Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty())


class _NoProgress(contextlib.AbstractContextManager):
    """Where nobody watches."""

    def __exit__(self, *error):
        return None

    def add_task(self, description, total):
        del description, total

    def update(self, task, completed, total):
        del task, completed, total

    def advance(self, task):
        del task

    remove_task = advance


def _give_out(result, format, output, name, first):
    if output is None:
        if format == "table":
            _print_table(result, sys.stdout)
        else:
            text = {
                "json": lambda: result.to_json() + "\n",
                "csv": lambda: result.to_csv(header=first),
                "audacity": result.to_audacity,
            }[format]()
            sys.stdout.write(text)
        sys.stdout.flush()
        return
    path = output / name.with_name(f"{name.name}.{ENDINGS[format]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            if format == "table":
                _print_table(result, file)
            elif format == "json":
                file.write(result.to_json(indent=2) + "\n")
            else:
                file.write(result.to_csv() if format == "csv" else result.to_audacity())
    except OSError as error:
        raise LungSRADError(f"{path}: cannot be written ({error.strerror})") from error


def _print_table(result, file):
    console = Console(file=file)
    if not console.is_terminal:
        console = Console(file=file, width=100)
    title = f"{result.file}  ({result.duration:.1f} s, {result.sample_rate} Hz)"
    console.print(Text(title, style="bold"), soft_wrap=True)
    table = Table()
    for name in ("start", "end"):
        table.add_column(f"{name} (s)", justify="right")
    table.add_column("class")
    findings = result.summary.crackle is not None
    shown = ("crackle", "wheeze", "abnormal") if findings else ("abnormal",)
    for name in shown:
        table.add_column(f"P({name})", justify="right")
    for segment in result.segments:
        table.add_row(*_cells(segment, shown))
    table.add_section()
    summary = _cells(result.summary, shown)
    table.add_row("all", "", *summary[2:], style="bold")
    console.print(table)
    if any(_normal_though_abnormal(segment) for segment in (*result.segments, result.summary)):
        console.print(RULE, soft_wrap=True, highlight=False)
    for flaw in result.flaws:
        console.print(Text.assemble((f"{flaw.kind}: ", "yellow"), flaw.message), soft_wrap=True)


def _cells(segment, shown):
    probabilities = [f"{getattr(segment, name):.2f}" for name in shown]
    return f"{segment.start:.2f}", f"{segment.end:.2f}", segment.label, *probabilities


def _normal_though_abnormal(segment):
    return segment.label == next(iter(segment.probabilities)) and segment.abnormal > 0.5


def _plot(result, recording, path):
    from lung_srad_plugin.inference.figure import plot_timeline
    from lung_srad_plugin.reporting.figures import save_figure

    try:
        save_figure(plot_timeline(result, recording), path)
    except OSError as error:
        raise LungSRADError(f"{Path(path)}: cannot be written ({error.strerror})") from error
