"""The parts of a run's record that state how its data were used and how it was trained."""

from typing import Any

from lung_srad_plugin.runs.record import Protocol, Training
from lung_srad_plugin.runs.selection import EpochSelection
from lung_srad_plugin.training.brain import LungSoundBrain
from lung_srad_plugin.training.dataio import RunData, manifests_of
from lung_srad_plugin.training.selected import SelectedEpochs
from lung_srad_plugin.utils.provenance import file_sha256


def describe_protocol(
    hparams: dict[str, Any],
    data: RunData,
    selected: SelectedEpochs,
    selection: EpochSelection,
    notes: list[str],
) -> Protocol:
    """Return how the data were split, and how each epoch of the results was selected."""
    valid_is_test = data.manifests.valid_is_test
    return Protocol(
        **{**data.split, "notes": notes},
        valid_is_test=valid_is_test,
        patients_shared={parts: list(patients) for parts, patients in data.manifests.shared_patients.items()},
        sha256={part: file_sha256(path) for part, path in (manifests_of(hparams) | _unlabelled(hparams)).items()},
        selection={
            rule: selection.text(rule, valid_is_test, reached=selected.reached[rule]) for rule in selected.scores
        },
        select_by=selection.select_by,
        min_sensitivity=selection.min_sensitivity,
        select_over=selection.over,
    )


def _unlabelled(hparams):
    path = hparams["unlabelled_csv"]
    return {} if path is None else {"unlabelled": path}


def describe_training(hparams: dict[str, Any], brain: LungSoundBrain) -> Training:
    """Return what changes training besides the settings of model, data and losses."""
    processes, batch_size, factor = hparams["processes"], hparams["batch_size"], brain.grad_accumulation_factor
    return Training(
        processes=processes,
        batch_size=batch_size,
        grad_accumulation_factor=factor,
        effective_batch=processes * batch_size * factor,
        optimizer_step_limit=brain.optimizer_step_limit,
        skip_nonfinite_grads=brain.skip_nonfinite_grads,
        remove_vector_weight_decay=brain.remove_vector_weight_decay,
        compile=brain.compile,
        **({} if brain.draws is None else {"data_sets": brain.draws.describe()}),
        **_describe_adapters(hparams),
    )


def _describe_adapters(hparams):
    """The record of adapters, where there are some: their settings, and how many numbers they have."""
    if hparams["lora_rank"] is None:
        return {}
    settings = {key: hparams[f"lora_{key}"] for key in ("rank", "alpha", "dropout", "targets")}
    trained = sum(values.numel() for values in hparams["embedding_model"].parameters() if values.requires_grad)
    return {"adapters": {**settings, "parameters": trained}}
