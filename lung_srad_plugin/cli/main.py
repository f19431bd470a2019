"""The command line: ``lung-srad``.

Exit codes: 0 all went well; 1 some inputs failed, and standard error lists them; 2 the command was used wrongly.
Commands import what they need when they run, so that ``--help`` is there at once.
"""

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.cli.datasets import datasets, prepare_hf_lung, prepare_kauh, prepare_sprsound
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.version import __version__

FAILED, MISUSED = 1, 2

app = typer.Typer(
    name="lung-srad",
    help="Lung sounds: prepare data, train, classify recordings. Research use only: not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(str, Enum):
    """How results are printed."""

    table = "table"
    json = "json"
    csv = "csv"
    audacity = "audacity"


class Split(str, Enum):
    """Which recordings are train and test."""

    official = "official"
    corrected = "corrected"
    kfold = "kfold"
    device = "device"


class Valid(str, Enum):
    """Where the validation cycles come from."""

    patients = "patients"
    test = "test"


class Answer(str, Enum):
    """Yes or no, as SpeechBrain's overrides write it."""

    true = "true"
    false = "false"


class Select(str, Enum):
    """Which checkpoint of a run is exported."""

    valid = "valid"
    last = "last"
    test = "test"


def _show_version(value: bool):
    if value:
        print(f"lung-srad {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
):
    del version


@app.command()
def prepare(
    data_folder: Annotated[Path, typer.Argument(help="The ICBHI 2017 download or its Kaggle mirror, unpacked.")],
    save_folder: Annotated[Path, typer.Argument(help="Where to write the manifests.")],
    split: Annotated[
        Split, typer.Option(help="corrected drops train recordings of the patients who are in test too.")
    ] = Split.official,
    valid: Annotated[Valid, typer.Option(help="test is the published protocol: it selects on the test set.")] = (
        Valid.patients
    ),
    valid_fraction: Annotated[float, typer.Option(help="Share of train that becomes valid.")] = 0.2,
    folds: Annotated[int, typer.Option(help="For --split kfold.")] = 5,
    fold: Annotated[int, typer.Option(help="The fold that is the test set, from 0.")] = 0,
    test_device: Annotated[
        str | None, typer.Option(help="The device that is the test set, for --split device.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides which patients are drawn.")] = 1986,
    strict: Annotated[Answer, typer.Option(help="false leaves out what is faulty and lists it.")] = Answer.true,
):
    """Write train.csv, valid.csv, test.csv and summary.json for ICBHI 2017."""
    from lung_srad_plugin.datasets.icbhi.prepare import prepare_icbhi

    prepare_icbhi(
        data_folder,
        save_folder,
        split=split.value,
        valid=valid.value,
        valid_fraction=valid_fraction,
        folds=folds,
        fold=fold,
        test_device=test_device,
        seed=seed,
        strict=strict is Answer.true,
    )


app.command()(datasets)
app.command()(prepare_sprsound)
app.command()(prepare_kauh)
app.command()(prepare_hf_lung)


@app.command()
def synthesize(
    folder: Annotated[Path, typer.Argument(help="Where to write: absent or empty.")],
    patients: Annotated[int, typer.Option(help="At least 5.")] = 24,
    recordings: Annotated[int, typer.Option(help="Of each patient, 1 to 7.")] = 4,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
):
    """Write an ICBHI-shaped folder of synthetic lung sounds: for trying out software, no medical data."""
    from lung_srad_plugin.datasets.synthetic.folder import synthesize_icbhi

    synthesize_icbhi(folder, patients=patients, recordings=recordings, seed=seed, progress=sys.stderr.isatty())


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    context: typer.Context,
    hparams: Annotated[Path, typer.Argument(help="The experiment, for example hparams/lung_srad.yaml.")],
):
    """Train and evaluate. What follows the file goes to the recipe: --key value, --device cuda, ..."""
    from lung_srad_plugin.training.recipe import main as run_training

    raise typer.Exit(run_training([str(hparams), *context.args]))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def ablate(
    context: typer.Context,
    grid: Annotated[Path, typer.Argument(help="The grid, for example hparams/ablation.yaml.")],
    output: Annotated[Path, typer.Option(help="Folder of the runs and of the table.")],
    jobs: Annotated[int | None, typer.Option(help="Runs at a time; by default one, or one for each device.")] = None,
    devices: Annotated[
        str | None, typer.Option(help="Devices to spread the runs over, with commas: cuda:0,cuda:1.")
    ] = None,
):
    """Run a grid of experiments over seeds and write their table. --key value goes to every run.

    Finished runs are kept, and stopped ones resume: give the same command again.
    """
    from lung_srad_plugin.ablation.command import ablate as run_grid
    from lung_srad_plugin.runs.command_line import read_overrides

    names = devices.split(",") if devices is not None else None
    raise typer.Exit(run_grid(grid, output, read_overrides(context.args), names, jobs))


@app.command()
def evaluate(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="The output folder of a training run, or several of one experiment over seeds or folds; or a model "
            "folder; or a predictions CSV. Then, if wanted, the cycles as CSV: runs without it are reported on their "
            "test cycles.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")] = Path("evaluation"),
    data_root: Annotated[Path | None, typer.Option(help="What {data_root} in the manifest stands for.")] = None,
    labels_map: Annotated[
        Path | None, typer.Option(help="JSON: the manifest's labels to the model's, null for rows to leave out.")
    ] = None,
    valid: Annotated[
        Path | None, typer.Option(help="Validation cycles for temperature and thresholds: a manifest, or predictions.")
    ] = None,
    windows: Annotated[
        bool, typer.Option("--windows", help="Hear long cycles in overlapping windows instead of cutting them.")
    ] = False,
    against: Annotated[
        list[Path] | None, typer.Option(help="Another run, or predictions CSV, on the same cycles. May be repeated.")
    ] = None,
    resamples: Annotated[int, typer.Option(help="Resamples of patients for the intervals.")] = 10_000,
    confidence: Annotated[float, typer.Option(help="Of the intervals, in percent.")] = 95.0,
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0,
    harmonic: Annotated[bool, typer.Option("--harmonic", help="Add the SPRSound challenge's harmonic scores.")] = False,
    batch_size: Annotated[int, typer.Option(help="Cycles that go through the model at once.")] = 8,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; the best there is if left out.")] = None,
):
    """Evaluate a run, several seeds or folds of it, a model or predictions: report.html, report.md and report.json."""
    from lung_srad_plugin.evaluation import command

    folders, manifest = split_sources(sources)
    options = {
        "manifest": manifest,
        "data_root": data_root,
        "labels_map": labels_map,
        "valid": valid,
        "windows": windows,
        "against": against or (),
        "resamples": resamples,
        "confidence": confidence,
        "seed": seed,
        "harmonic": harmonic,
        "batch_size": batch_size,
        "device": device,
    }
    if len(folders) > 1:
        report = command.evaluate_runs(folders, output, **options)
    else:
        report = command.evaluate(folders[0], output, **options)
    command.print_summary(report, output)


def split_sources(paths):
    """Return what is to be evaluated and the manifest, None where there is none: it is a file and comes last.

    Raises
    ------
    LungSRADError
        Where there are several sources, and one is not a folder.

    Example
    -------
    >>> split_sources([Path("model"), Path("test.csv")])
    ([PosixPath('model')], PosixPath('test.csv'))
    """
    *sources, last = paths
    if not sources or last.is_dir():
        sources, manifest = paths, None
    else:
        manifest = last
    files = [str(source) for source in sources if not source.is_dir()]
    if len(sources) > 1 and files:
        raise LungSRADError(
            f"{', '.join(files)}: no such folder; expected one source, or the output folders of several runs, and then "
            "at most one manifest"
        )
    return sources, manifest


@app.command()
def classify(
    files: Annotated[list[str], typer.Argument(help="Recordings, folders of them, or patterns such as 'a/*.wav'.")],
    model: Annotated[
        str, typer.Option("--model", "-m", envvar="LUNG_SRAD_MODEL", help="A model folder or a hub id owner/name.")
    ],
    annotations: Annotated[
        bool, typer.Option("--annotations", help="Classify the cycles of the ICBHI annotation beside each file (.txt).")
    ] = False,
    format: Annotated[Format, typer.Option(help="json is one line for each file.")] = Format.table,
    output: Annotated[
        Path | None, typer.Option(help="Folder for one result file for each recording, instead of printing.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Folder for a picture of each recording.")] = None,
    hop: Annotated[float, typer.Option(help="Seconds from one window to the next.")] = 4.0,
    batch_size: Annotated[int, typer.Option(help="Windows that go through the model at once.")] = 2,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Apply the temperature fitted on the model's validation cycles.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; the best there is if left out.")] = None,
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
):
    """Classify recordings of any length, sample rate and format that libsndfile reads.

    The class is the most probable one. P(abnormal) sums all classes but normal, so it can exceed 0.5 beside normal.
    """
    from lung_srad_plugin.cli.classify import classify_files

    run_opts = {"precision": precision} if device is None else {"precision": precision, "device": device}
    raise typer.Exit(
        classify_files(files, model, annotations, format.value, output, plot, hop, batch_size, run_opts, calibrated)
    )


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="The output folder of a training run.")],
    folder: Annotated[Path, typer.Argument(help="Where to write the model: absent, empty, or an earlier export.")],
    select: Annotated[Select, typer.Option(help="Which epoch: best on valid, the last, or best on test.")] = (
        Select.valid
    ),
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx too.")] = False,
):
    """Write a checkpoint of a run as a model folder, verified."""
    from lung_srad_plugin.export.export import export_run

    print(export_run(run, folder, select.value, onnx))


@app.command()
def info(model: Annotated[Path, typer.Argument(help="A model folder.")]):
    """Print a model's card: data, protocol, scores, intended use and limits."""
    from lung_srad_plugin.export.model_folder import read_card, read_config

    config = read_config(model)
    text = read_card(model)
    if not sys.stdout.isatty():
        print(text, end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.text import Text

    body = text.split("---\n", 2)[-1]  # without the hub's header
    Console().print(Markdown(body), Text(f"\n{config.model} in {model}", style="dim"))


@app.command()
def validate(
    manifest: Annotated[Path, typer.Argument(help="A CSV manifest.")],
    labels: Annotated[str, typer.Option(help="The labels that may occur, with commas, the normal class first.")] = (
        "normal,crackle,wheeze,both"
    ),
    data_root: Annotated[Path | None, typer.Option(help="What {data_root} stands for.")] = None,
    check_files: Annotated[
        bool, typer.Option("--check-files/--no-check-files", help="Look at the header of each audio file.")
    ] = True,
):
    """Check a manifest and list everything that is wrong with it."""
    from lung_srad_plugin.datasets.manifests import validate_manifest

    if not manifest.is_file():
        raise LungSRADError(f"{manifest}: no such manifest")
    names = [label.strip() for label in labels.split(",")]
    try:
        summary = validate_manifest(manifest, names, data_root=data_root, check_files=check_files)
    except LungSRADError as error:
        _print_error(error)
        raise typer.Exit(FAILED) from None
    counts = ", ".join(f"{count} {label}" for label, count in summary.labels.items())
    print(f"{manifest}: {len(summary.rows)} cycles ({counts})")


def _print_error(error):
    print(f"error: {error}", file=sys.stderr)


def main(arguments=None):
    """Run the command line, or these arguments; a user's mistake becomes one message and exit code 2."""
    try:
        app(arguments)
    except LungSRADError as error:
        _print_error(error)
        sys.exit(MISUSED)
