"""The typed schema of an experiment's settings: every key, its type and its range, checked before any work starts."""

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lung_srad_plugin.audio.levels import LEVELS
from lung_srad_plugin.audio.normalization import NORMALIZATIONS
from lung_srad_plugin.audio.spec_augment import FREQ_SHARE, TIME_SHARE
from lung_srad_plugin.datasets.icbhi.prepare import SPLITS, VALIDS
from lung_srad_plugin.datasets.preparation import TASK_NAMES, TRAINED_DATA_SETS
from lung_srad_plugin.encoders.dass.block import NORMS
from lung_srad_plugin.encoders.dass.encoder import TARGETS
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.nn.distillation import MISSING
from lung_srad_plugin.nn.gaussian import PADDINGS
from lung_srad_plugin.nn.losses import CLASS_WEIGHTS, NEGATIVES, STOP_GRADIENTS
from lung_srad_plugin.nn.optimizer import OPTIMIZERS
from lung_srad_plugin.runs.selection import METRICS, OVER, TRAINING_VERSION
from lung_srad_plugin.scan.dispatch import BACKENDS
from lung_srad_plugin.utils.devices import PRECISIONS

MAX_WORKERS = 8 * (os.cpu_count() or 1)
"""More loader processes than this for each core of the machine are a mistake: each takes memory, none is faster."""


def _one_of(choices):
    return Field(pattern=f"^({'|'.join(choices)})$", description=f"one of {', '.join(choices)}")


def _finite(low, high=None, *, above=False, below=False, description):
    bounds = {"gt" if above else "ge": low}
    if high is not None:
        bounds["lt" if below else "le"] = high
    return Field(allow_inf_nan=False, description=description, **bounds)


def _distinct(labels):
    if len(set(labels)) < len(labels) or "normal" in labels[1:]:
        raise ValueError("labels must differ, and the normal class comes first")
    return labels


def _built(value):
    if not isinstance(value, str) or not value.startswith("!"):
        raise ValueError("not built by a tag")
    return value


Name = Annotated[str, Field(min_length=1, description="a path as text, for example results/mine")]
TestName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Seed = Annotated[int, Field(ge=0, lt=2**32, description="a whole number from 0 to 4294967295")]
Switch = Annotated[bool, Field(description="True or False")]
Count = Annotated[int, Field(ge=1, description="a whole number from 1")]
Size = Annotated[int | None, Field(ge=1, description="a whole number from 1: a size of AST or BEATs")]
Weight = Annotated[float, _finite(0, description="a number from 0; 0 switches the loss off")]
Share = Annotated[float, _finite(0, 1, above=True, description="a share above 0 and at most 1")]
Probability = Annotated[float, _finite(0, 1, description="a number from 0 to 1")]
Built = Annotated[
    str, AfterValidator(_built), Field(description="an object that the yaml file builds (!new:, !name: or !apply:)")
]
LoaderOptions = Annotated[dict[str, Any], Field(description="the options of a data loader, such as batch_size")]


class Settings(BaseModel):
    """The settings of an experiment: each key of ``hparams/lung_srad.yaml`` with its type and range.

    Keys that an experiment file adds for its own references are not checked. ``Built`` keys are objects; their text is
    the tag that builds them, as in ``experiment_settings``. Keys with a default are absent from runs of version 0.1,
    which were trained with that default.
    """

    model_config = ConfigDict(strict=True, extra="ignore")

    seed: Seed
    data_folder: Name
    output_folder: Name
    save_folder: Name
    feature_folder: Annotated[Name | None, Field(description="a folder, or null to compute features every time")]
    dataset: Annotated[str, _one_of(TRAINED_DATA_SETS)] = "icbhi"
    task: Annotated[str, _one_of(TASK_NAMES)] = "4class"
    split: Annotated[str, _one_of(SPLITS)]
    valid: Annotated[str, _one_of(VALIDS)]
    valid_fraction: Annotated[float, _finite(0, 1, above=True, below=True, description="a number between 0 and 1")]
    split_seed: Seed
    folds: Annotated[int, Field(ge=2, description="a whole number from 2")]
    fold: Annotated[int, Field(ge=0, description="a whole number from 0, below `folds`")]
    test_device: Annotated[Name | None, Field(description="the name of a recording device, or null")]
    strict: Switch
    skip_prep: Switch
    train_csv: Name
    valid_csv: Name
    test_csv: Annotated[
        Name | dict[TestName, Name],
        Field(min_length=1, description="a manifest, or manifests by names of letters, digits, '-' and '_'"),
    ]
    sampling_weights: Annotated[
        dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None,
        Field(
            min_length=1,
            description="a share above 0 for each data set of train_csv, as {a: 0.7, b: 0.3}, or null",
        ),
    ] = None
    labels: Annotated[
        list[str],
        Field(min_length=2, description="at least two different names, the normal class first"),
        AfterValidator(_distinct),
    ]

    sample_rate: Annotated[int, Field(ge=1000, le=192_000, description="a rate in Hz from 1000 to 192000")]
    duration: Annotated[float, _finite(0.1, 120, description="seconds from 0.1 to 120")]
    frames: Annotated[int | None, Field(ge=4, description="a whole number from 4, or null to keep all frames")]
    level: Annotated[str, _one_of(LEVELS)] = "recorded"
    n_mels: Count = 128
    window_ms: Annotated[float, _finite(1, 1000, description="milliseconds from 1 to 1000")] = 25.0
    shift_ms: Annotated[float, _finite(1, 1000, description="milliseconds from 1 to 1000")] = 10.0
    high_hz: Annotated[
        float | None, _finite(20, above=True, description="Hz, at most half of sample_rate, or null for that half")
    ] = None
    compute_features: Built
    feature_cache: Built
    normalization: Annotated[str, _one_of(NORMALIZATIONS)] = "audioset"
    mean_var_norm: Built
    mel_shift: Switch = False
    mel_equalizer: Annotated[float, _finite(0, description="a deviation from 0, in natural logarithms")] = 0.0
    mel_low_pass: Probability = 0.0
    mel_noise: Probability = 0.0
    mel_augment: Built | None = None
    spec_augment_probability: Probability
    spec_augment_time_share: Share = TIME_SHARE
    spec_augment_freq_share: Share = FREQ_SHARE
    augment: Built

    pretrained: Annotated[
        Name | None,
        Field(
            description="a file, an address, a folder, owner/name of the hub, or starter, or null for random weights"
        ),
    ]
    pretrained_sha256: Annotated[
        str | None, Field(pattern=r"^[0-9a-fA-F]{64}$", description="64 hexadecimal digits, or null")
    ]
    depths: Annotated[list[Count], Field(min_length=1, description="the number of blocks of each stage")]
    dims: Annotated[list[Count], Field(min_length=1, description="the number of channels of each stage")]
    drop_path_rate: Annotated[float, _finite(0, 1, below=True, description="a number from 0 to below 1")]
    encoder_norm: Annotated[str, _one_of(NORMS)] = "layer"
    scan_backend: Annotated[str | None, _one_of(BACKENDS)]
    channels: Annotated[list[Count] | None, Field(min_length=2, description="of the CNN: channels from 1")] = None
    embed_dim: Size = None
    hidden_size: Size = None
    layers: Size = None
    heads: Size = None
    intermediate_size: Size = None
    patch_size: Size = None
    stride: Size = None
    grid: Annotated[
        list[Count] | None, Field(min_length=2, max_length=2, description="of AST: frequencies and times of positions")
    ] = None
    buckets: Size = None
    max_distance: Size = None
    position_width: Size = None
    position_groups: Size = None
    gradient_decay: Annotated[
        float | None, _finite(0, 1, above=True, description="of BEATs: a number above 0 and at most 1")
    ] = None
    gradient_checkpointing: Switch
    gaussian_stage: Annotated[int, Field(ge=0, description="the index of a stage, from 0")]
    gaussian_blocks: Annotated[
        list[Annotated[int, Field(ge=0)]], Field(description="indices of blocks of that stage, or [] for no smoothing")
    ]
    gaussian_kernel: Annotated[int, Field(ge=1, description="an odd whole number")]
    gaussian_sigma: Annotated[float, _finite(0, above=True, description="a number above 0")]
    gaussian_target: Annotated[str, _one_of(TARGETS)]
    gaussian_padding: Annotated[str, _one_of(PADDINGS)] = "zeros"
    embedding_model: Built
    classifier: Built
    projector: Annotated[Built | None, Field(description="an object that the yaml file builds, or null")]
    model: Built

    alpha_time: Weight
    alpha_frequency: Weight
    alpha_patch: Weight
    mix_beta: Annotated[float, _finite(0, above=True, description="a number above 0")]
    temperature: Annotated[float, _finite(0, above=True, description="a number above 0")]
    negatives: Annotated[str, _one_of(NEGATIVES)]
    stop_gradient: Annotated[str, _one_of(STOP_GRADIENTS)]
    contrastive_loss: Built
    class_weighting: Annotated[str, _one_of(CLASS_WEIGHTS)]
    prior_correction: Switch = False
    teacher: Annotated[
        Name | None,
        Field(description="an .npz file of embeddings, a model folder, a run, starter, AST by its name, or null"),
    ] = None
    teacher_missing: Annotated[str, _one_of(MISSING)] = "refuse"
    unlabelled_csv: Annotated[
        Name | None, Field(description="a manifest of cycles for the distillation alone, or null")
    ] = None
    distillation_weight: Annotated[float, _finite(0, above=True, description="a number above 0")] = 1.0
    one_pass: Switch
    probe: Switch = False
    probe_c: Annotated[
        list[Annotated[float, Field(gt=0, allow_inf_nan=False)]],
        Field(min_length=1, description="numbers above 0, such as [0.001, 0.01, 0.1]"),
    ] = [0.01]
    probe_folds: Annotated[int, Field(ge=2, description="a whole number from 2")] = 5
    embeddings: Annotated[
        Name | None, Field(description="an .npz file of embeddings by cycle, or null for those of the encoder")
    ] = None
    embedding_folder: Annotated[
        Name | None, Field(description="a folder, or null to compute embeddings every time")
    ] = None

    number_of_epochs: Count
    batch_size: Annotated[int, Field(ge=2, description="a whole number from 2")]
    lora_rank: Annotated[int | None, Field(ge=1, description="a whole number from 1, or null for no adapters")] = None
    lora_alpha: Annotated[float, _finite(0, above=True, description="a number above 0")] = 16.0
    lora_dropout: Annotated[float, _finite(0, 1, below=True, description="a number from 0 to below 1")] = 0.0
    lora_targets: Annotated[
        list[str] | None, Field(min_length=1, description="names of linear layers of the encoder, or null for all")
    ] = None
    lr: Annotated[float, _finite(0, above=True, description="a number above 0")]
    weight_decay: Annotated[float, _finite(0, description="a number from 0")]
    keep_previous: Annotated[float, _finite(0, 1, below=True, description="a number from 0 to below 1")]
    ema_decay: Annotated[
        float | None, _finite(0, 1, above=True, below=True, description="a number between 0 and 1, or null")
    ] = None
    warmup_epochs: Annotated[int, Field(ge=0, description="a whole number from 0")]
    schedule: Built
    optimizer: Annotated[str, _one_of(OPTIMIZERS)] = "Adam"
    opt_class: Built
    max_grad_norm: Annotated[float, Field(gt=0, description="a number above 0, .inf for no clipping")]
    precision: Annotated[str, _one_of(PRECISIONS)]
    eval_precision: Annotated[str, _one_of(PRECISIONS)]
    training_version: Annotated[int, Field(ge=1, le=TRAINING_VERSION, description="1 or 2")] = 1
    processes: Annotated[int, Field(ge=1, description="a whole number from 1, which torchrun sets")] = 1
    grad_accumulation_factor: Count = 1
    optimizer_step_limit: Annotated[int | None, Field(ge=1, description="a whole number from 1, or null")] = None
    skip_nonfinite_grads: Switch = False
    remove_vector_weight_decay: Switch = False
    compile: Switch = False
    num_workers: Annotated[
        int, Field(ge=0, le=MAX_WORKERS, description=f"a whole number from 0 to {MAX_WORKERS}, 8 for each core here")
    ]
    train_loader_kwargs: LoaderOptions
    valid_loader_kwargs: LoaderOptions
    test_loader_kwargs: LoaderOptions

    select_by: Annotated[str, _one_of(METRICS)] = "score"
    select_over: Annotated[str, _one_of(OVER)] = "cycles"
    min_sensitivity: Annotated[
        float | None, _finite(0, 100, below=True, description="percent from 0 to below 100, or null for no minimum")
    ] = None
    report_test_selected: Switch
    report_train: Switch
    modules: Annotated[dict[str, Built], Field(min_length=1, description="the modules to train, each built by a tag")]
    epoch_counter: Built
    checkpointer: Built
    train_logger: Built

    @model_validator(mode="after")
    def _fit_together(self):
        if self.fold >= self.folds:
            raise ValueError(f"fold: {self.fold}; expected a whole number below folds, which is {self.folds}")
        if len(self.depths) != len(self.dims):
            raise ValueError(f"dims: {self.dims}; expected as many numbers as depths has: {self.depths}")
        if self.embeddings is not None and not self.probe:
            raise ValueError(f"embeddings: {self.embeddings}; expected null, or probe: True beside it")
        if self.embeddings is not None and self.pretrained is not None:
            raise ValueError(f"pretrained: {self.pretrained}; expected null, since `embeddings` replaces the encoder")
        if self.unlabelled_csv is not None:
            for key, allowed in (("sampling_weights", None), ("negatives", "all")):
                if getattr(self, key) != allowed:
                    raise ValueError(f"{key}: {getattr(self, key)}; expected {allowed or 'null'} with unlabelled_csv")
            if self.teacher is None:
                raise ValueError("teacher: null; expected one, since unlabelled_csv is for distillation alone")
        if self.probe and self.sampling_weights is not None:
            raise ValueError(f"sampling_weights: {self.sampling_weights}; expected null: a probe takes each cycle once")
        if self.probe and self.select_over != "cycles":
            raise ValueError(f"select_over: {self.select_over}; expected cycles, where a probe is fitted")
        if self.probe and self.lora_rank is not None:
            raise ValueError(f"lora_rank: {self.lora_rank}; expected null, since a probe does not train the encoder")
        if self.probe and self.teacher is not None:
            raise ValueError(f"teacher: {self.teacher}; expected null, since a probe does not train the encoder")
        if self.normalization == "beats" and self.level != "int16":
            raise ValueError(f"normalization: beats; expected level: int16 with it, not {self.level}")
        if self.high_hz is not None and self.high_hz > self.sample_rate / 2:
            raise ValueError(f"high_hz: {self.high_hz:g}; expected at most half of sample_rate {self.sample_rate}")
        if self.report_test_selected and not isinstance(self.test_csv, str):
            raise ValueError("report_test_selected: True; expected False where test_csv names several test sets")
        return self


def fill_defaults(hparams: MutableMapping[str, Any]) -> None:
    """Add the keys that runs of version 0.1 do not have, with the values that they were trained with.

    Example
    -------
    >>> hparams = {"encoder_norm": "batch"}
    >>> fill_defaults(hparams)
    >>> hparams["encoder_norm"], hparams["normalization"]
    ('batch', 'audioset')
    """
    for key, field in Settings.model_fields.items():
        if not field.is_required():
            hparams.setdefault(key, field.default)


def check_settings(settings: Mapping[str, Any], source: str | Path, complete: bool = True) -> None:
    """Check the settings of an experiment against their schema.

    Arguments
    ---------
    settings : Mapping
        What ``experiment_settings`` returned.
    source : str or Path
        The experiment's file, for the message.
    complete : bool
        Whether every key that the recipe needs must be there. False checks the keys that are given.

    Raises
    ------
    LungSRADError
        Naming every key whose value is wrong, the value, and what is expected.

    Example
    -------
    >>> check_settings({"lr": "fast", "batch_size": 16}, "my.yaml", complete=False)
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: my.yaml: 1 setting is wrong:
      lr: 'fast'; expected a number above 0
    """
    try:
        Settings.model_validate(dict(settings))
    except ValidationError as error:
        problems = _problems(error, settings, complete)
    else:
        return
    if problems:
        count = "1 setting is" if len(problems) == 1 else f"{len(problems)} settings are"
        raise LungSRADError("\n  ".join([f"{source}: {count} wrong:", *problems]))


def _problems(error, settings, complete):
    problems = {}
    for found in error.errors():
        if not found["loc"]:
            problems[""] = str(found["ctx"]["error"])
            continue
        key = str(found["loc"][0])
        expected = Settings.model_fields[key].description
        if found["type"] == "missing":
            if complete:
                problems[key] = f"{key}: missing; expected {expected}. Add it, or build on lung_srad.yaml with `base:`"
        else:
            problems.setdefault(key, f"{key}: {settings[key]!r}; expected {expected}")
    return list(problems.values())
