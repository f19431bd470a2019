"""Reading the command line of a training run: an experiment, SpeechBrain's run options, and settings to replace."""

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from speechbrain.utils.run_opts import HELP_TEXTS, RunOptions

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.runs.experiment import parse_value
from lung_srad_plugin.runs.named_files import find_file
from lung_srad_plugin.utils.devices import check_device

# Run options of SpeechBrain that are keys of the experiment too: the saved settings must state what was trained.
SETTINGS_AND_OPTIONS = (
    *("precision", "eval_precision", "max_grad_norm", "grad_accumulation_factor", "optimizer_step_limit"),
    *("skip_nonfinite_grads", "remove_vector_weight_decay", "compile"),
)

_DEFAULTS = RunOptions().as_dict()
_OPTIONS = {*(HELP_TEXTS.keys() & _DEFAULTS.keys()), "jit_module_keys", "compile_module_keys"}
_FLAGS = {name for name in _OPTIONS if _DEFAULTS[name] is False}
_LISTS = {"jit_module_keys", "compile_module_keys"}
_KEY = re.compile(r"--(\w+)(?:=(.*))?", re.DOTALL)


@dataclass(frozen=True)
class CommandLine:
    """What the command line of a training run asks for.

    Arguments
    ---------
    file : str
        The experiment's yaml file.
    run_opts : speechbrain.utils.run_opts.RunOptions
        SpeechBrain's run options.
    overrides : dict
        Settings to replace, by key.
    """

    file: str
    run_opts: RunOptions
    overrides: dict[str, Any]


def read_command_line(arguments: list[str]) -> CommandLine:
    """Read ``FILE --key value --key=value --flag``; refuse what SpeechBrain's own reading would misunderstand.

    Arguments
    ---------
    arguments : list of str
        An experiment (a file, or the name of one that comes with the package, such as ``lung_srad``), ``--key value``
        for each setting to replace, and SpeechBrain's run options.

    Raises
    ------
    LungSRADError
        Where there is not exactly one file, a word belongs to no option, a value is missing or given to a flag, an
        option is given twice, or a run option has a value that cannot be used.

    Example
    -------
    >>> line = read_command_line(["mine.yaml", "--lr", "0.1", "--device=cpu", "--noprogressbar"])
    >>> line.file, line.overrides, line.run_opts.device, line.run_opts.noprogressbar
    ('mine.yaml', {'lr': 0.1}, 'cpu', True)
    """
    if {"-h", "--help"} & set(arguments):
        RunOptions.from_command_line_args(["--help"])  # prints the run options and exits
    files, options, settings = [], [], {}
    waiting = list(arguments)
    while waiting and not waiting[0].startswith("--"):
        files.append(waiting.pop(0))
    if len(files) != 1:
        got = " ".join(files) if files else "none"
        raise LungSRADError(
            f"expected one hyperparameter file, then --key value pairs; got {got}. For example: "
            "hparams/lung_srad.yaml --data_folder ICBHI --lr 0.0001"
        )
    for name, values in _take_options(waiting):
        if name in _OPTIONS:
            options += [f"--{name}", *values]
        else:
            settings[name] = parse_value(values[0], f"--{name}")
    _, run_opts, _ = RunOptions.from_command_line_args([*files, *options])
    run_opts = check_run_options(run_opts)
    given = [name for name in SETTINGS_AND_OPTIONS if name in run_opts.overridden_args]
    return CommandLine(
        str(find_file(files[0])), run_opts, {**settings, **{name: getattr(run_opts, name) for name in given}}
    )


def read_overrides(arguments: list[str]) -> dict[str, Any]:
    """Read ``--key value`` and ``--key=value`` into settings by key.

    Raises
    ------
    LungSRADError
        As ``read_command_line`` does, and for ``--device``: the runs of a grid have ``--devices``.

    Example
    -------
    >>> read_overrides(["--lr", "0.2", "--gaussian_blocks=[]"])
    {'lr': 0.2, 'gaussian_blocks': []}
    """
    overrides = {}
    for name, values in _take_options(list(arguments)):
        if name == "device":
            raise LungSRADError("--device: a grid runs on --devices, for example --devices cuda:0,cuda:1")
        if not values:
            raise LungSRADError(f"--{name}: expected a value after it")
        overrides[name] = parse_value(values[0], f"--{name}")
    return overrides


def check_run_options(run_opts: RunOptions) -> RunOptions:
    """Return SpeechBrain's run options with numbers as numbers, after checking each value.

    Raises
    ------
    LungSRADError
        Naming the option, its value and what is expected.
    """
    if math.isnan(run_opts.max_grad_norm) or run_opts.max_grad_norm <= 0:
        raise LungSRADError(
            f"--max_grad_norm {run_opts.max_grad_norm}: expected a number above 0. SpeechBrain would reverse every "
            "gradient at a negative one; for no clipping write --max_grad_norm inf"
        )
    limit = run_opts.optimizer_step_limit
    if limit is not None:
        # SpeechBrain reads this one as text.
        if not str(limit).isdecimal() or int(limit) < 1:
            raise LungSRADError(f"--optimizer_step_limit {limit}: expected a whole number from 1")
        run_opts = replace(run_opts, optimizer_step_limit=int(limit))
    if run_opts.grad_accumulation_factor < 1:
        raise LungSRADError(
            f"--grad_accumulation_factor {run_opts.grad_accumulation_factor}: expected a whole number from 1"
        )
    if "nonfinite_patience" in run_opts.overridden_args:
        raise LungSRADError(
            f"--nonfinite_patience {run_opts.nonfinite_patience}: training stops at the first loss that is not finite; "
            "leave it out"
        )
    if run_opts.device is not None:
        check_device(run_opts.device)
    return run_opts


def _take_options(words):
    """Yield each option with its values; refuse words that belong to none."""
    given = set()
    while words:
        word = words.pop(0)
        found = _KEY.fullmatch(word)
        if not found:
            raise LungSRADError(
                f"{word}: belongs to no option; expected --key value or --key=value"
                + (f", so write --{word}" if re.fullmatch(r"\w+=.*", word) else "")
            )
        name, value = found.groups()
        if name in given:
            raise LungSRADError(f"--{name} is given twice; give it once")
        given.add(name)
        values = [] if value is None else [value]
        if name in _FLAGS:
            if value is not None or (words and not words[0].startswith("--")):
                text = word if value is not None else f"{word} {words[0]}"
                raise LungSRADError(f"{text}: this is a flag without a value; write --{name} alone, or leave it out")
        elif name in _LISTS:
            while words and not words[0].startswith("--"):
                values.append(words.pop(0))
        elif value is None:
            if not words or words[0].startswith("--"):
                raise LungSRADError(f"{word}: expected a value after it")
            values.append(words.pop(0))
        yield name, values
