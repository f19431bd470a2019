"""Exporting: from a checkpoint of a run to a model folder, which SpeechBrain's ``EncoderClassifier`` loads too.

The folder appears when it is complete and verified. It may be moved: nothing in it is a path.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lung_srad_plugin.datasets.synthetic.marker import trained_on_synthetic
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.chosen_timeline import read_chosen_timeline
from lung_srad_plugin.export.model_card import write_card
from lung_srad_plugin.export.model_config import FORMAT, parse_config
from lung_srad_plugin.export.model_folder import (
    CARD,
    CONFIG,
    HYPERPARAMS,
    LABEL_ENCODER,
    LICENSE,
    WEIGHTS,
)
from lung_srad_plugin.export.novelty_file import NOVELTY, write_novelty
from lung_srad_plugin.export.novelty_fit import fit_for_export
from lung_srad_plugin.export.run_model import RunModel, build_run_model, checkpoint_files, dump_nodes, read_run_settings
from lung_srad_plugin.export.weights import read_weights
from lung_srad_plugin.labels import make_label_encoder
from lung_srad_plugin.metrics.calibration import read_calibration
from lung_srad_plugin.metrics.predictions_file import read_predictions
from lung_srad_plugin.metrics.uncertainty import measure_uncertainty
from lung_srad_plugin.runs.run_folder import RunFolder, read_checkpoint_meta
from lung_srad_plugin.utils.files import record_folder, refuse_foreign_content
from lung_srad_plugin.utils.provenance import file_sha256, package_versions

# The exported yaml is this header, the nodes of the run's own yaml that build the model, and the wiring.
HEADER = """\
# Lung-SRAD, for speechbrain.inference.classifiers.EncoderClassifier.from_hparams(source=<this folder>), or with checks
# of the folder and of what is classified: lung_srad_plugin.LungSoundClassifier.from_hparams(source=<this folder>).
# Research use only: not a medical device.
sample_rate: {sample_rate}
"""

WIRING = """\
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    classifier: !ref <classifier>
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
label_count: !apply:speechbrain.dataio.encoder.CategoricalEncoder.expect_len
    - !ref <label_encoder>
    - {classes}
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding_model: !ref <embedding_model>
        classifier: !ref <classifier>
        label_encoder: !ref <label_encoder>
"""

TOLERANCE = 1e-5  # of log-probabilities, between the training modules and the exported folder


def export_run(
    run_folder: str | Path,
    destination: str | Path,
    select: str = "valid",
    onnx: bool = False,
    trust_code: bool = False,
    timeline: str | Path | None = None,
    manifests: Mapping[str, str | Path] | None = None,
) -> Path:
    """Export a checkpoint of a training run as a model folder.

    Arguments
    ---------
    run_folder : str or Path
        The output folder of a training run.
    destination : str or Path
        Where to write: a folder that is absent or empty, or an earlier export, which is replaced.
    select : str
        ``"valid"``: the epoch that is best on the validation cycles. ``"last"``: the last epoch. ``"test"``: the epoch
        that is best on the test cycles, of runs that tested each epoch; its scores are optimistic, and the card says
        so.
    onnx : bool
        Whether to write ``model.onnx`` too.
    trust_code : bool
        False: the run's settings may call what the recipe's experiments call, and nothing else. True: they may call
        anything, so that exporting may run any code.
    timeline : str or Path, optional
        The ``timeline.json`` of ``lung-srad check-timeline --choose`` for this checkpoint: how recordings are processed
        where the user says nothing.
    manifests : Mapping, optional
        Where the run's manifests ``train`` and ``valid`` lie by now, for the detector of unlike sounds; by default
        where the run found them, relative to the current folder.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    LungSRADError
        As ``export_checkpoint``, and where the run has no such checkpoint.

    Example
    -------
    >>> export_run("no/such/run", "model")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: no/such/run/hyperparams.yaml: no such file; expected the output folder ...
    """
    run = RunFolder(run_folder)
    read_run_settings(run.settings_file, trust_code)
    checkpoint = run.find_checkpoint(select, trust_code)
    return export_checkpoint(run.path, checkpoint, destination, select, onnx, trust_code, timeline, manifests)


def export_checkpoint(
    run_folder: str | Path,
    checkpoint: str | Path,
    destination: str | Path,
    select: str = "valid",
    onnx: bool = False,
    trust_code: bool = False,
    timeline: str | Path | None = None,
    manifests: Mapping[str, str | Path] | None = None,
) -> Path:
    """Export one checkpoint of a training run as a model folder, and verify it by classifying a clip both ways.

    The detector of sounds unlike the training sounds is fitted on the run's recordings where they are there; else
    ``config.json`` says why the folder has none.

    Arguments
    ---------
    run_folder : str or Path
        The output folder of a training run; its ``hyperparams.yaml`` says how the model is built, and its
        ``results.json``, if there, fills the model card.
    checkpoint : str or Path
        The folder of one of the run's checkpoints.
    destination : str or Path
        Where to write. The folder appears there in one step when it is complete.
    select : str
        How the checkpoint was selected, see ``export_run``.
    onnx : bool
        Whether to write ``model.onnx`` too.
    trust_code : bool
        False: the run's settings may call what the recipe's experiments call, and nothing else. True: they may call
        anything, so that exporting may run any code.
    timeline : str or Path, optional
        As for ``export_run``.
    manifests : Mapping, optional
        As for ``export_run``. Where one is named, it must be the run's, with all recordings there.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    LungSRADError
        Where the run or the checkpoint lacks a part, the timeline is of another model, the destination holds something
        else or cannot be written, or the outputs of the written folder differ from those of the training modules; where
        a manifest that is named is not the run's.
    """
    run, checkpoint, destination = RunFolder(run_folder), Path(checkpoint), Path(destination)
    settings = read_run_settings(run.settings_file, trust_code)
    for name in checkpoint_files(settings):
        if not (checkpoint / name).is_file():
            raise LungSRADError(f"{checkpoint / name}: the checkpoint has no such file; choose another checkpoint")
    check_destination(destination)
    model = build_run_model(settings, run, checkpoint, trust_code)
    with publish_folder(destination) as folder:
        _write(folder, run, settings, model, checkpoint, select, timeline, manifests)
        if onnx:
            from lung_srad_plugin.export.onnx import export_onnx

            export_onnx(folder, trust_code)
        verify_export(folder, model.modules, checkpoint)
    return destination


def verify_export(folder: Path, modules: dict[str, Any], checkpoint: Path) -> None:
    """Classify a clip with the training's modules and with the folder, loaded by the stock class.

    Arguments
    ---------
    folder : Path
        The exported folder.
    modules : dict
        ``compute_features``, ``mean_var_norm``, ``embedding_model`` and ``classifier`` as trained.
    checkpoint : Path
        The run's checkpoint, for the message.

    Raises
    ------
    LungSRADError
        Where the log-probabilities differ by more than ``TOLERANCE``.
    """
    from speechbrain.inference.classifiers import EncoderClassifier

    features = modules["compute_features"]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        clip = 0.1 * torch.randn(3 * features.sample_rate, generator=torch.Generator().manual_seed(0))
        feats = features.fbank(features.cut(features.prepare(clip)))
        embeddings = modules["embedding_model"](modules["mean_var_norm"](feats))
        expected = modules["classifier"](embeddings).squeeze(1)
        exported = EncoderClassifier.from_hparams(source=str(folder), run_opts={"device": "cpu"})
        found = exported.classify_batch(clip[None])[0]
    difference = (found - expected).abs().max().item()
    if not difference <= TOLERANCE:
        raise LungSRADError(
            f"{checkpoint}: the exported folder's outputs differ from those of the training modules (log-probabilities "
            f"by {difference:.2g}); nothing was written. Please report this"
        )


def _write(
    folder: Path,
    run: RunFolder,
    settings: dict,
    model: RunModel,
    checkpoint: Path,
    select: str,
    timeline: str | Path | None,
    manifests: Mapping[str, str | Path] | None,
) -> None:
    """Write all files of a model folder but ``model.onnx``."""
    from safetensors.torch import save

    features = model.modules["compute_features"]
    labels = [str(label) for label in settings["labels"]]
    for name in WEIGHTS:
        if name == "embedding_model" and model.merged_encoder is not None:
            torch.save(model.merged_encoder.state_dict(), folder / f"{name}.ckpt")
        else:
            shutil.copyfile(checkpoint / f"{name}.ckpt", folder / f"{name}.ckpt")
        # Copies: layers of one model may share a tensor, which safetensors refuses.
        weights = {key: value.contiguous().clone() for key, value in read_weights(folder / f"{name}.ckpt").items()}
        # Not save_file: only the user could read its files, and it reports a full disk by errors of its own kind.
        (folder / f"{name}.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))
    make_label_encoder(labels).save(folder / LABEL_ENCODER)
    header, wiring = HEADER.format(sample_rate=features.sample_rate), WIRING.format(classes=len(labels))
    (folder / HYPERPARAMS).write_text(header + dump_nodes(model.nodes) + wiring, encoding="utf-8")
    results = run.results().as_dict() if run.results_file.is_file() else None
    shutil.copyfile(Path(__file__).parents[1] / "LICENSE.txt", folder / LICENSE)
    novelty = fit_for_export(features, settings, (results or {}).get("protocol") or {}, manifests)
    hashed = [LABEL_ENCODER, HYPERPARAMS, *(f"{name}{end}" for name in WEIGHTS for end in (".ckpt", ".safetensors"))]
    if novelty.detector is not None:
        write_novelty(folder, novelty.detector)
        hashed.append(NOVELTY)
    files = {name: file_sha256(folder / name) for name in sorted(hashed)}
    experiment = results["experiment"] if results else run.path.resolve().name
    epoch = read_checkpoint_meta(checkpoint).get("epoch")
    name = f"{experiment}-{files['embedding_model.ckpt'][:8]}"
    config = {
        "format": FORMAT,
        "model": name,
        "labels": labels,
        "sample_rate": features.sample_rate,
        "duration": features.duration,
        "frames": features.fbank.frames,
        "experiment": experiment,
        "epoch": epoch,
        "select": select,
        **(fitted := _fitted(results, select, epoch)),
        "novelty": novelty.stored,
        "uncertainty": _measure_uncertainty(run, select, labels, fitted["calibration"]),
        **({} if timeline is None else {"timeline": read_chosen_timeline(timeline, name)}),
        "data": _data(results) if results else None,
        "synthetic": trained_on_synthetic(results) if results else None,
        "teacher": Path(settings["teacher"]).name if settings.get("teacher") else None,
        "protocol": results["protocol"] if results else None,
        "seed": settings.get("seed"),
        "commit": results.get("commit") if results else None,
        "versions": package_versions(),
        "files": files,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    checked = parse_config(config, str(folder / CONFIG), "rename what it names")
    (folder / CARD).write_text(write_card(checked, results), encoding="utf-8")


def _fitted(results: dict | None, select: str, epoch: int | None) -> dict:
    """Return what was fitted on validation cycles for this epoch, None where nothing was."""
    scores = (results or {}).get("selected", {}).get(select, {})
    fits = scores.get("epoch") == epoch
    return {key: scores.get(key) if fits else None for key in ("calibration", "operating_points")}


def _measure_uncertainty(run: RunFolder, select: str, labels: list[str], calibration: dict | None) -> dict:
    """Return the limit of uncertain answers, and what it means on the validation cycles where they are known."""
    path = run.predictions("valid", select)
    # Where nothing was fitted for this epoch, the run's predictions may be of another.
    table = read_predictions(path, labels) if calibration is not None and path.is_file() else None
    return measure_uncertainty(table, read_calibration(calibration))


def _data(results: dict) -> str:
    """Return the name of the data that a run was trained on; synthetic sounds are named as such."""
    name = Path(results["data_folder"]).name
    synthetic = trained_on_synthetic(results)
    return f"{name}, SYNTHETIC sounds: the scores say nothing about patients" if synthetic else name


def check_destination(destination: Path) -> None:
    """Refuse, before any work, a destination that is not a folder or holds what this product did not write."""
    if destination.exists() and not destination.is_dir():
        raise LungSRADError(f"{destination}: a file is there; expected a folder that is absent or empty")
    if destination.is_dir():
        # An export may be replaced as long as it is as it was written: not a card that somebody has edited since.
        refuse_foreign_content(destination)


@contextmanager
def publish_folder(destination: Path) -> Iterator[Path]:
    """Give a folder as ``replace_folder`` does; its files are recorded, so that it may be replaced as a whole."""
    with replace_folder(destination) as folder:
        yield folder
        record_folder(folder)


@contextmanager
def replace_folder(destination: Path) -> Iterator[Path]:
    """Give a folder beside the destination to write to; move it there at the end, or remove it after a failure."""
    destination = destination.resolve()
    folder = destination.with_name(f".{destination.name}.{os.getpid()}.part")
    old = destination.with_name(f".{destination.name}.{os.getpid()}.old")
    try:
        folder.mkdir(parents=True)
        yield folder
        if destination.exists():
            destination.rename(old)
        try:
            folder.rename(destination)
        except OSError:
            if old.exists():
                old.rename(destination)
            raise
    except OSError as error:
        raise LungSRADError(
            f"{destination}: cannot be written ({error.strerror or error}); nothing incomplete was left there. Choose "
            "a folder with free space that you may write to"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
