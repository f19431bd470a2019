#!/usr/bin/env python3
"""Recipe to classify breathing cycles of ICBHI 2017 with Lung-SRAD.

The classes are normal, crackle, wheeze and both. DASS, an audio state-space
model distilled on AudioSet, is fine-tuned; the activation maps of two of its
blocks are smoothed, and a contrastive loss compares each clip with mixtures of
it and another, along time and along frequency.

To run this recipe, do the following:
> python train.py hparams/lung_srad.yaml --data_folder=/path/to/ICBHI \
    --pretrained=/path/to/DASS_medium_v2.pth

Authors
 * The Lung-SRAD developers 2026
"""

import sys

import torch
from hyperpyyaml import load_hyperpyyaml
from icbhi_prepare import prepare_icbhi
from lung_srad_plugin import (
    draw_patch_mix,
    icbhi_scores,
    load_dass_checkpoint,
    read_manifest,
)

import speechbrain as sb
from speechbrain.utils.distributed import run_on_main


class LungSoundBrain(sb.Brain):
    """Cross-entropy on clean clips, and a contrastive loss on mixed ones."""

    def compute_forward(self, batch, stage):
        """Return the model's output, and the plans of mixing the clips."""
        batch = batch.to(self.device)
        feats, lens = batch.feats
        feats = self.modules.mean_var_norm(feats, lens)
        plans = ()
        if stage == sb.Stage.TRAIN:
            feats = self.modules.augment(feats)
            size = self.hparams.embedding_model.map_size(
                frames=feats.shape[1], mels=feats.shape[2]
            )
            plans = [
                draw_patch_mix(len(feats), size, axis)
                for axis in self.hparams.mixed_axes
            ]
        return self.modules.model(feats, plans), plans

    def compute_objectives(self, predictions, batch, stage):
        """Return the loss; outside of training, keep the predicted classes."""
        output, plans = predictions
        targets = batch.target
        loss = torch.nn.functional.nll_loss(output.log_probs, targets)
        for plan, projected in zip(plans, output.projected, strict=True):
            contrastive = self.hparams.contrastive_loss(
                output.pooled, projected, plan.lam, plan.index, targets
            )
            loss = loss + self.hparams.alpha * contrastive
        if stage != sb.Stage.TRAIN:
            self.targets.extend(targets.tolist())
            self.predicted.extend(output.log_probs.argmax(1).tolist())
        return loss

    def on_stage_start(self, stage, epoch=None):
        """Set the epoch's learning rate, or begin to collect predictions."""
        if stage == sb.Stage.TRAIN:
            self.rate = self.hparams.schedule(epoch)
            sb.nnet.schedulers.update_learning_rate(self.optimizer, self.rate)
        else:
            self.targets, self.predicted = [], []

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log losses and scores; keep the checkpoint with the best Score."""
        if stage == sb.Stage.TRAIN:
            self.train_stats = {"loss": stage_loss}
            return
        stats = {
            "loss": stage_loss,
            **icbhi_scores(self.targets, self.predicted),
        }
        if stage == sb.Stage.VALID:
            self.hparams.train_logger.log_stats(
                stats_meta={"epoch": epoch, "lr": self.rate},
                train_stats=self.train_stats,
                valid_stats=stats,
            )
            self.checkpointer.save_and_keep_only(meta=stats, max_keys=["score"])
        else:
            self.hparams.train_logger.log_stats(
                stats_meta={"Epoch loaded": self.hparams.epoch_counter.current},
                test_stats=stats,
            )


def dataio_prep(hparams):
    """Return the data sets, with the keys ``id``, ``feats`` and ``target``.

    ``feats`` is (frames, mels), ``target`` the index of the class.

    Arguments
    ---------
    hparams : dict
        The loaded hyperparameters.

    Returns
    -------
    dict
        Of train, valid and test.
    """

    @sb.utils.data_pipeline.takes("wav", "start", "stop")
    @sb.utils.data_pipeline.provides("feats")
    def features(wav, start, stop):
        """Compute the log-mel features of a cycle, once, or read them."""
        return hparams["feature_cache"](wav, start, stop)

    @sb.utils.data_pipeline.takes("label")
    @sb.utils.data_pipeline.provides("target")
    def target(label):
        """Return the index of a class."""
        return hparams["labels"].index(label)

    datasets = {}
    for part in ("train", "valid", "test"):
        rows = read_manifest(
            hparams[f"{part}_csv"], data_root=hparams["data_folder"]
        )
        datasets[part] = sb.dataio.dataset.DynamicItemDataset(
            {row["ID"]: row for row in rows},
            [features, target],
            ["id", "feats", "target"],
        )
    return datasets


if __name__ == "__main__":
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])
    sb.utils.distributed.ddp_init_group(run_opts)
    with open(hparams_file, encoding="utf-8") as fin:
        hparams = load_hyperpyyaml(fin, overrides)
    sb.create_experiment_directory(
        experiment_directory=hparams["output_folder"],
        hyperparams_to_save=hparams_file,
        overrides=overrides,
    )
    run_on_main(
        prepare_icbhi,
        kwargs={
            "data_folder": hparams["data_folder"],
            "save_folder": hparams["manifest_folder"],
            "split": hparams["split"],
            "valid": hparams["valid"],
            "valid_fraction": hparams["valid_fraction"],
            "skip_prep": hparams["skip_prep"],
        },
    )
    datasets = dataio_prep(hparams)
    if hparams["pretrained"] is not None:
        load_dass_checkpoint(hparams["pretrained"], hparams["embedding_model"])
    brain = LungSoundBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.fit(
        hparams["epoch_counter"],
        datasets["train"],
        datasets["valid"],
        train_loader_kwargs=hparams["train_loader_kwargs"],
        valid_loader_kwargs=hparams["valid_loader_kwargs"],
    )
    brain.evaluate(
        datasets["test"],
        max_key="score",
        test_loader_kwargs=hparams["valid_loader_kwargs"],
    )
