"""LoRA in a run: the frozen encoder kept once, the adapters in each checkpoint."""

from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks

from lung_srad_plugin.export.weights import load_weights, read_weights
from lung_srad_plugin.nn.adapters import adapter_weights, add_adapters, load_adapter_weights
from lung_srad_plugin.runs.run_folder import ADAPTERS, RunFolder, has_checkpoints
from lung_srad_plugin.training.distributed import run_on_main
from lung_srad_plugin.utils.files import write_safely


@register_checkpoint_hooks
class AdapterWeights:
    """What a checkpoint keeps of an encoder with adapters: some MB where the whole encoder has hundreds.

    Arguments
    ---------
    encoder : torch.nn.Module
        With adapters.
    """

    def __init__(self, encoder: torch.nn.Module):
        self.encoder = encoder

    @mark_as_saver
    def save(self, path):
        """Write the adapters' weights to ``path``."""
        torch.save(adapter_weights(self.encoder), path)

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Read what ``save`` wrote."""
        del end_of_epoch
        load_adapter_weights(self.encoder, read_weights(path), path)


def adapt_encoder(hparams: dict[str, Any], run: RunFolder) -> None:
    """Add the adapters that the settings ask for, if any, to the encoder with its initial weights.

    The frozen weights are written to the run's folder once. A run that is resumed takes them from there, also where
    ``pretrained`` has changed since.

    Arguments
    ---------
    hparams : dict
        The built experiment, its encoder with the weights to begin with.
    run : RunFolder
    """
    if hparams["lora_rank"] is None:
        return
    encoder, checkpointer = hparams["embedding_model"], hparams["checkpointer"]
    if run.frozen_encoder.is_file() and has_checkpoints(hparams["save_folder"]):
        load_weights(encoder, run.frozen_encoder)
    else:
        run_on_main(_keep, encoder, run.frozen_encoder)
    add_adapters(encoder, *(hparams[f"lora_{key}"] for key in ("rank", "alpha", "dropout", "targets")))
    del checkpointer.recoverables["embedding_model"]
    checkpointer.add_recoverable(ADAPTERS, AdapterWeights(encoder))


def _keep(encoder: torch.nn.Module, path: Path) -> None:
    with write_safely(path) as beside:
        torch.save(encoder.state_dict(), beside)
