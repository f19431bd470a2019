"""``lung-srad serve``: a page and an HTTP API on this machine."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.cli.options import TrustCode
from lung_srad_plugin.datasets.synthetic.marker import TRAINED_ON_SYNTHETIC


def serve(
    model: Annotated[
        str | None,
        typer.Argument(
            envvar="LUNG_SRAD_MODEL",
            help="A model folder, a hub id owner/name, or starter: the model that comes with lung-srad, which is used "
            "where none is named.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. 127.0.0.1 is reached from this machine alone, 0.0.0.0 from all.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 7860,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    megabytes: Annotated[float, typer.Option(help="Size of an upload, at most, in 1e6 bytes.")] = 50.0,
    seconds: Annotated[float, typer.Option(help="Length of a recording, at most.")] = 600.0,
    at_work: Annotated[int, typer.Option(min=1, help="Recordings that are classified at once.")] = 1,
    waiting: Annotated[int, typer.Option(min=0, help="Recordings that wait while others are at work, at most.")] = 16,
    work_seconds: Annotated[
        float, typer.Option(help="Time for classifying one recording, at most; what will take longer is refused soon.")
    ] = 600.0,
    rate: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Uploads a minute of one client, at most; 0 for no limit. If left out, 60, and no limit where only "
            "this machine reaches the service.",
        ),
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(help="Address of a proxy in front, whose X-Forwarded-For names the client; '*' for any."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Serve nothing; write a folder for Hugging Face Spaces instead, with the package, the model and "
            "what they need. Absent or empty."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; the best there is if left out.")] = None,
    trust_code: TrustCode = False,
):
    """Classify recordings in the browser and over HTTP; they stay on this machine.

    Needs the extra serve. /docs describes the HTTP API.

    Examples: lung-srad serve --open; lung-srad serve results/export --port 8000; then, from another terminal,
    curl -F file=@breath.wav http://127.0.0.1:8000/api/classify; lung-srad serve --export space
    """
    try:
        from lung_srad_plugin.serving.limits import SHARED_RATE, ServingLimits
        from lung_srad_plugin.serving.server import is_local, listen, run_server
        from lung_srad_plugin.serving.service import ClassificationService
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    from lung_srad_plugin.inference.classifier import LungSoundClassifier
    from lung_srad_plugin.inference.starter_model import describe_starter
    from lung_srad_plugin.utils.text import printable

    if export is not None:
        from lung_srad_plugin.serving.space import export_space

        print(printable(export_space(export, model)))
        return
    if rate is None:
        rate = 0 if is_local(host) else SHARED_RATE
    limits = ServingLimits(megabytes, seconds, at_work, waiting, work_seconds, rate=rate)
    with listen(host, port) as bound:
        run_opts = None if device is None else {"device": device}
        classifier = LungSoundClassifier.from_hparams(source=model, run_opts=run_opts, trust_code=trust_code)
        notes = []
        if model is None:
            notes.append(f"note: {printable(describe_starter(classifier.config, 'an argument names another'))}")
        if classifier.trained_on_synthetic:
            notes.append(f"note: {TRAINED_ON_SYNTHETIC}")
        if not is_local(host):
            notes.append(
                f"warning: every machine that reaches {printable(host)}, port {bound.getsockname()[1]}, can use this "
                "service; there is no password, and nothing is encrypted"
            )
        for note in notes:
            print(note, file=sys.stderr, flush=True)
        run_server(ClassificationService(classifier, limits), bound, open_browser, proxy)


def _missing(error):
    from lung_srad_plugin.errors import LungSRADError

    if (error.name or "").startswith("lung_srad_plugin"):
        raise error
    return LungSRADError(f'{error.name} is not installed; lung-srad serve needs: pip install "lung-srad[serve]"')
