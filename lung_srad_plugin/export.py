"""From a training run to a folder that SpeechBrain's ``EncoderClassifier`` loads."""

import shutil
from pathlib import Path

from ruamel.yaml import YAML

from lung_srad_plugin.dataio import make_label_encoder
from lung_srad_plugin.errors import LungSRADError

# SpeechBrain builds these when it loads the folder; the parts that depend on the run are added to them.
TEMPLATE = """\
# Lung-SRAD, exported for speechbrain.inference.classifiers.EncoderClassifier.from_hparams(source=<this folder>).
# Research use only: not a medical device.
compute_features: !new:lung_srad_plugin.CycleFeatures
    duration: {duration}
    sample_rate: {sample_rate}
    frames: {frames}
mean_var_norm: !new:lung_srad_plugin.AudioSetNormalization
sample_rate: {sample_rate}
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
"""

WIRING = """\
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    classifier: !ref <classifier>
label_count: !apply:speechbrain.dataio.encoder.CategoricalEncoder.expect_len
    - !ref <label_encoder>
    - {classes}
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding_model: !ref <embedding_model>
        classifier: !ref <classifier>
        label_encoder: !ref <label_encoder>
"""


def export_checkpoint(run_folder, checkpoint, destination):
    """Write the folder that the stock ``EncoderClassifier`` loads.

    Arguments
    ---------
    run_folder : str or Path
        The output folder of a training run; its ``hyperparams.yaml`` says how the model is built.
    checkpoint : str or Path
        The folder of one of the run's checkpoints.
    destination : str or Path
        Where to write ``hyperparams.yaml``, ``embedding_model.ckpt``, ``classifier.ckpt`` and ``label_encoder.ckpt``.
        The folder may be moved afterwards: nothing in it names a place.

    Raises
    ------
    LungSRADError
        Where the run or the checkpoint lacks a part.
    """
    run_folder, checkpoint, destination = Path(run_folder), Path(checkpoint), Path(destination)
    settings = _read_settings(run_folder / "hyperparams.yaml")
    destination.mkdir(parents=True, exist_ok=True)
    for name in ("embedding_model.ckpt", "classifier.ckpt"):
        if not (checkpoint / name).is_file():
            raise LungSRADError(f"{checkpoint / name}: the checkpoint has no such file; choose another checkpoint")
        shutil.copyfile(checkpoint / name, destination / name)
    labels = [str(label) for label in settings["labels"]]
    make_label_encoder(labels).save(destination / "label_encoder.ckpt")
    with open(destination / "hyperparams.yaml", "w", encoding="utf-8") as file:
        frames = "null" if settings["frames"] is None else settings["frames"]
        file.write(TEMPLATE.format(duration=settings["duration"], sample_rate=settings["sample_rate"], frames=frames))
        YAML().dump({key: settings[key] for key in ("embedding_model", "classifier")}, file)
        file.write(WIRING.format(classes=len(labels)))


def _read_settings(path):
    try:
        with open(path, encoding="utf-8") as file:
            settings = YAML().load(file)
    except FileNotFoundError:
        raise LungSRADError(f"{path}: no such file; expected the output folder of a training run") from None
    for key in ("embedding_model", "classifier", "labels", "duration", "sample_rate", "frames"):
        if key not in settings:
            raise LungSRADError(f"{path}: the key {key!r} is missing; expected the hyperparameters of a training run")
    return settings
