"""Device and precision of a model: SpeechBrain's run options, checked."""

from speechbrain.utils.run_opts import RunOptions

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.devices import PRECISIONS, check_device


def check_run_options(run_opts: dict | RunOptions | None) -> RunOptions | None:
    """Return run options with device and precision checked.

    Arguments
    ---------
    run_opts : dict, RunOptions or None
        As for ``LungSoundClassifier.from_hparams``; a device may be a ``torch.device``.

    Returns
    -------
    RunOptions or None

    Raises
    ------
    LungSRADError
        Where an option is unknown, or the device or the precision does not exist here.

    Example
    -------
    >>> check_run_options({"device": "cpu", "precision": "bf16"}).precision
    'bf16'
    """
    if run_opts is None:
        return None
    if isinstance(run_opts, dict):
        unknown = sorted(set(run_opts) - set(RunOptions().as_dict()))
        if unknown:
            raise LungSRADError(f"run_opts: {', '.join(unknown)} is unknown; expected for example device and precision")
        options = dict(run_opts)
        if "device" in options and options["device"] is not None:
            options["device"] = str(options["device"])
        run_opts = RunOptions.from_dictionary(options)
    if not isinstance(run_opts, RunOptions):
        raise LungSRADError(f"run_opts={run_opts!r}; expected a dict such as {{'device': 'cpu'}}")
    for name in ("precision", "eval_precision"):
        if getattr(run_opts, name) not in PRECISIONS:
            raise LungSRADError(
                f"run_opts: {name} {getattr(run_opts, name)!r} is unknown; expected one of {', '.join(PRECISIONS)}"
            )
    if run_opts.device is not None:
        try:
            check_device(run_opts.device)
        except LungSRADError as error:
            raise LungSRADError(f"run_opts: {error}") from None
    return run_opts
