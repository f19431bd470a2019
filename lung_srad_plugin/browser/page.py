"""Writing the folder of the page: its own files, the model as ONNX with its description, and onnxruntime-web."""

import json
import shutil
from pathlib import Path

from lung_srad_plugin.browser.runtime import read_runtime
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.export import check_destination, publish_folder
from lung_srad_plugin.export.model_folder import CARD, LICENSE, ONNX, read_config
from lung_srad_plugin.export.onnx import WHOLE, check_exporter, export_onnx
from lung_srad_plugin.inference.loading import obtain_model

STATIC = Path(__file__).parent / "static"
DESCRIPTION, MODEL_CARD, LICENCES = "model.json", "model-card.md", "LICENSES.txt"

JSON_METADATA = ("labels", "classify")
NUMBERS = ("sample_rate", "duration")


def export_web(
    model: str | Path | None,
    destination: str | Path,
    onnxruntime_web: str | Path | None = None,
    trust_code: bool = False,
) -> Path:
    """Write a folder with a page that classifies recordings in the browser alone.

    Any static web server serves it. The page loads its own files and nothing else, and sends nothing.

    Arguments
    ---------
    model : str, Path or None
        A model folder, a hub id, or ``starter`` or None: the model that comes with the package.
    destination : str or Path
        Where to write: a folder that is absent or empty, or an earlier one, which is replaced.
    onnxruntime_web : str or Path, optional
        As for ``read_runtime``.
    trust_code : bool
        As for ``read_model``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    LungSRADError
        Where the model cannot be read or exported, as ``export_onnx``; where onnxruntime-web cannot be had, or the
        destination holds something else.

    Example
    -------
    >>> export_web("starter", "page")  # doctest: +SKIP
    PosixPath('page')
    """
    destination = Path(destination)
    check_destination(destination)
    check_exporter()
    runtime = read_runtime(onnxruntime_web)
    with obtain_model(model) as folder:
        config = read_config(folder)
        with publish_folder(destination) as page:
            for path in sorted(STATIC.iterdir()):
                shutil.copyfile(path, page / path.name)
            for name, content in runtime.items():
                (page / name).write_bytes(content)
            export_onnx(folder, trust_code, page / ONNX)
            description = {**require_whole(page / ONNX), "data": config.data}
            text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False)
            (page / DESCRIPTION).write_text(f"{text}\n", encoding="utf-8")
            card = folder / CARD
            if card.is_file():
                shutil.copyfile(card, page / MODEL_CARD)
            else:
                (page / MODEL_CARD).write_text(f"{config.model}: the model has no card.\n", encoding="utf-8")
            licence = Path(__file__).parents[1] / "LICENSE.txt"
            shutil.copyfile(licence, page / LICENSE)
    return destination


def require_whole(path: Path) -> dict:
    """Take the default from the second input of an ONNX file, since onnxruntime-web accepts no input that has one.

    Returns
    -------
    dict
        The file's metadata, with its JSON and its numbers read.
    """
    import onnx

    model = onnx.load(path)
    kept = [tensor for tensor in model.graph.initializer if tensor.name != WHOLE]
    if len(kept) == len(model.graph.initializer):
        raise LungSRADError(f"{path}: its input {WHOLE} has no default; expected a file that export_onnx wrote")
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    path.write_bytes(model.SerializeToString())
    found = {prop.key: prop.value for prop in model.metadata_props}
    found |= {key: json.loads(found[key]) for key in JSON_METADATA}
    return found | {key: float(found[key]) for key in NUMBERS}
