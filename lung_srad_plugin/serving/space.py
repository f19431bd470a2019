"""A folder for Hugging Face Spaces that holds all that ``lung-srad serve`` needs: package, model, requirements."""

import os
import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires
from importlib.metadata import version as installed_version
from pathlib import Path

from huggingface_hub import SpaceCard, SpaceCardData

import lung_srad_plugin
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.export import replace_folder
from lung_srad_plugin.export.model_folder import read_config
from lung_srad_plugin.inference.loading import locate, obtain_model
from lung_srad_plugin.inference.starter_model import FOLDER as STARTER_FOLDER
from lung_srad_plugin.inference.starter_model import STARTER
from lung_srad_plugin.serving.description import PURPOSE

MODEL = "model"  # the folder of a model that does not come with the package
# Wheels for a CPU: those of PyPI bring gigabytes of CUDA libraries. Their version, 2.11.0+cpu, comes before 2.11.0.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# Compiled for each other: the newest of each that the package admits need not load together.
PAIR = ("torch", "torchaudio")
_EXTRA = re.compile(r'(\s+and)?\s*extra == "serve"')
PORT = 7860  # where Spaces expects the page

APP = '''"""The page of Lung-SRAD: `lung-srad serve` on the address and port that Spaces expects."""

import os
from pathlib import Path

from lung_srad_plugin.cli.main import main

os.chdir(Path(__file__).parent)
# Every request comes through the proxy of Spaces, which names the client.
main(["serve", "{model}", "--host", "0.0.0.0", "--port", os.environ.get("PORT", "{port}"), "--proxy", "*"])
'''

TEXT = """
# Lung-SRAD

Lung sounds classified by the model `{model}`. {purpose}

What is uploaded here goes to the machine that runs this Space; `lung-srad serve` on your own machine keeps it there.

- `app.py` starts the page; the HTTP API is described at `/docs`.
- `lung_srad_plugin` is the package, version {version}, as it was installed where this folder was made.
{model_line}
- `requirements.txt` names what the package needs, with torch for a CPU.

Upload the folder with `hf upload OWNER/NAME . --repo-type space`.
"""


def export_space(destination: str | os.PathLike, model: str | None = None) -> Path:
    """Write a folder that is a Space of the Hugging Face hub.

    The package is copied into it, since a Space installs from an index, and this version need not be on one.

    Arguments
    ---------
    destination : str or Path
        A folder that is absent or empty; it is complete, or as it was.
    model : str, optional
        A model folder or hub id, whose files are copied; by default the model that comes with the package.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    LungSRADError
        Where the folder holds something, there is no such model, or the requirements are not known.
    """
    destination = Path(destination)
    check_empty(destination)
    lines = requirement_lines()
    with obtain_model(model) as source, replace_folder(destination) as folder:
        config = read_config(source)
        own = model not in (None, STARTER)
        package = Path(lung_srad_plugin.__file__).parent
        unused = {STARTER_FOLDER} if own else set()
        shutil.copytree(package, folder / package.name, ignore=_ignore(unused), dirs_exist_ok=True)
        if own:
            shutil.copytree(source, folder / MODEL, ignore=_ignore(set()))
        (folder / "app.py").write_text(APP.format(model=f"./{MODEL}" if own else STARTER, port=PORT), encoding="utf-8")
        (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        hub_ids = [model.removeprefix("hf://")] if model is not None and _is_hub_id(model) else None
        card = SpaceCard(f"---\n{_card_data(hub_ids).to_yaml()}\n---\n{_text(config.model, own)}")
        (folder / "README.md").write_text(str(card), encoding="utf-8")
    return destination


def check_empty(folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises
    ------
    LungSRADError
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise LungSRADError(
            f"{folder}: already there; nothing was overwritten. Choose a folder that is absent or empty"
        )


def requirement_lines() -> list[str]:
    """Return the lines of ``requirements.txt``: what the installed package names, with its extra serve.

    Torch and torchaudio are those that are installed here, which load together.

    Raises
    ------
    LungSRADError
        Where the package is not installed, or by a version without that extra.
    """
    try:
        found = requires("lung-srad") or []
    except PackageNotFoundError:
        found = []
    # Without the mark of the extra, but with any other: of a Python version, say.
    needed = [_EXTRA.sub("", line).rstrip("; ") for line in found if "extra ==" not in line or _EXTRA.search(line)]
    if not any(line.startswith("gradio") for line in needed):
        raise LungSRADError(
            'the installed lung-srad does not name what the page needs; install it again with: pip install ".[serve]"'
        )
    return [f"--extra-index-url {CPU_INDEX}", *(_as_installed(line) for line in needed)]


def _as_installed(line: str) -> str:
    """Return a requirement, for one of ``PAIR`` the version that is installed here."""
    name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
    return f"{name}=={installed_version(name).partition('+')[0]}" if name in PAIR else line


def _card_data(hub_ids: list[str] | None) -> SpaceCardData:
    return SpaceCardData(
        title="Lung-SRAD",
        emoji="🫁",
        colorFrom="blue",
        colorTo="gray",
        sdk="gradio",
        sdk_version=installed_version("gradio"),
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
        app_file="app.py",
        license="apache-2.0",
        short_description="Lung sounds classified; for research only",
        models=hub_ids,
        pinned=False,
    )


def _text(model: str, own: bool) -> str:
    line = f"- `{MODEL}` is the model's folder." if own else "- The model comes with the package."
    return TEXT.format(model=model, purpose=PURPOSE, version=lung_srad_plugin.__version__, model_line=line)


def _is_hub_id(model: str) -> bool:
    return locate(model).FetchFrom.name == "HUGGING_FACE"


def _ignore(folders):
    def ignore(parent, names):
        return {name for name in names if name == "__pycache__" or Path(parent, name) in folders}

    return ignore
