"""Teachers of a distillation: a table of embeddings, a model of ours, or transformers' AST."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lung_srad_plugin.audio.features import CycleFeatures
from lung_srad_plugin.audio.normalization import FeatureNormalization
from lung_srad_plugin.encoders.ast import ASTEncoder
from lung_srad_plugin.encoders.ast_weights import read_ast_sizes
from lung_srad_plugin.encoders.pretrained import load_pretrained, obtain_weights
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.embeddings import EmbeddingCache
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.starter_model import model_path
from lung_srad_plugin.labels import CLASSES, make_label_encoder
from lung_srad_plugin.nn.distillation import DistillationHead, TeacherTable
from lung_srad_plugin.nn.heads import LogClassifier
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.training.distributed import count_processes, run_on_main
from lung_srad_plugin.utils.folders import is_folder
from lung_srad_plugin.utils.progress import progress_bars

AST_SAMPLE_RATE, AST_WINDOW, AST_SHIFT = 16000, 0.025, 0.010  # of transformers' feature extractor, in Hz and seconds
AST_TYPE = "audio-spectrogram-transformer"


class ModelTeacher(TeacherTable):
    """A teacher that is a model: ``standardize`` computes its embeddings of the training cycles, or reads those kept.

    Cycles are told apart by the path of their recording, so that recordings of two data sets may have one name.

    Arguments
    ---------
    name : str
        What messages call it.
    embed : callable
        Returns the embeddings (N, E) of rows, as ``EmbeddingCache`` does.
    size : int
        E.

    Example
    -------
    >>> import numpy as np
    >>> rows = [{"wav": f"{name}.wav", "start": 0.0, "stop": 1.0} for name in "ab"]
    >>> teacher = ModelTeacher("mine", lambda rows, progress: np.eye(2)[: len(rows)], size=2)
    >>> teacher.standardize(rows)
    >>> teacher(rows[1])
    tensor([-0.7071,  0.7071])
    """

    def __init__(self, name: str, embed: Callable, size: int):
        self.path = Path(name)
        self.missing = "refuse"
        self.size = size
        self.embeddings = torch.zeros(0, size)
        self.index: dict = {}
        self._embed: Callable | None = embed

    def standardize(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Compute the embeddings of these rows, and standardise them by themselves."""
        if count_processes() > 1:
            run_on_main(self._compute, rows)  # the others read what it keeps
        self.embeddings = torch.from_numpy(self._compute(rows)).float()
        self.index = {self.key(row): number for number, row in enumerate(rows)}
        self._embed = None  # training needs the memory
        super().standardize(rows)

    def _compute(self, rows):
        with progress_bars() as progress:
            task = progress.add_task("Computing the teacher's embeddings", total=len(rows))
            return self._embed(rows, lambda done, _: progress.update(task, completed=done))

    def key(self, row: Mapping[str, Any]) -> tuple:
        """Return what a cycle is found by."""
        return (str(row["wav"]), *super().key(row)[1:])


def add_teacher(hparams: dict[str, Any]) -> TeacherTable | None:
    """Return the teacher of an experiment, if any, and give its model a head for the teacher's embeddings."""
    if hparams["teacher"] is None:
        return None
    teacher = make_teacher(hparams)
    head = DistillationHead(hparams["embedding_model"].embedding_dim, teacher.size)
    hparams["model"].distillation_head = head
    hparams["checkpointer"].add_recoverable("distillation_head", head)
    return teacher


def make_teacher(hparams: Mapping[str, Any]) -> TeacherTable:
    """Return the teacher that the setting ``teacher`` names.

    Arguments
    ---------
    hparams : Mapping
        The built experiment. ``teacher`` is an ``.npz`` file; the output folder of a run or a model folder, or
        ``starter``; or transformers' AST: a folder with its ``config.json`` and ``model.safetensors``, or its name on
        the Hugging Face hub. ``embedding_folder`` is where a model's embeddings are kept, and ``batch_size`` how many
        cycles go through it at once.

    Raises
    ------
    LungSRADError
        Where it is none of these, or a table, a model or weights are faulty.
    """
    name = hparams["teacher"]
    path = model_path(name)
    if path.suffix == ".npz" or path.is_file():
        return TeacherTable(path, hparams["teacher_missing"])
    if is_folder(path) and not _is_ast(path):
        run = RunFolder(path)
        source = run.export if run.is_finished() else path
        classifier = LungSoundClassifier.from_hparams(source=source)
    else:
        classifier = _load_ast(str(name), hparams["save_folder"])
    cache = EmbeddingCache(hparams["embedding_folder"], classifier, hparams["batch_size"])
    return ModelTeacher(str(name), cache, cache.size)


def _is_ast(folder: Path) -> bool:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == AST_TYPE


def _load_ast(name: str, folder: str | Path) -> LungSoundClassifier:
    """Return AST with its weights and its own front end; a cycle is repeated until it fills AST's input."""
    try:
        weights = obtain_weights(ASTEncoder, name, folder)
    except LungSRADError as error:
        raise LungSRADError(
            f"teacher: {name} is no table (.npz), model folder, run or starter, so AST was looked for; {error}"
        ) from None
    config = json.loads(weights.with_name("config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != AST_TYPE:
        raise LungSRADError(f"teacher: {name} is a model of type {config.get('model_type')}; expected {AST_TYPE}")
    encoder = ASTEncoder(**read_ast_sizes(weights.with_name("config.json")))
    load_pretrained(encoder, weights, folder)
    duration = AST_WINDOW + (config["max_length"] - 1) * AST_SHIFT
    modules = {
        "compute_features": CycleFeatures(
            duration, AST_SAMPLE_RATE, frames=None, n_mels=config["num_mel_bins"], window_ms=25.0, shift_ms=10.0
        ),
        "mean_var_norm": FeatureNormalization("audioset"),
        "embedding_model": encoder,
        "classifier": LogClassifier(encoder.embedding_dim, len(CLASSES)),  # not used
    }
    settings = {"label_encoder": make_label_encoder(CLASSES), "sample_rate": AST_SAMPLE_RATE}
    return LungSoundClassifier(modules, settings)
