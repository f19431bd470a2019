"""The training loop: SpeechBrain's ``Brain`` with the hooks of Lung-SRAD."""

from functools import partial

import numpy as np
import speechbrain as sb
import torch
from speechbrain.dataio.dataset import DynamicItemDataset, FilteredSortedDynamicItemDataset
from speechbrain.nnet.schedulers import update_learning_rate
from speechbrain.utils.checkpoints import Checkpoint, mark_as_loader, mark_as_saver, register_checkpoint_hooks
from torch.nn.functional import nll_loss
from torch.nn.parallel import DistributedDataParallel

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.nn.distillation import distillation_loss
from lung_srad_plugin.nn.patch_mix import AXES, draw_patch_mix
from lung_srad_plugin.runs.run_folder import COMPLETE, find_checkpoint, is_complete, rank_checkpoints
from lung_srad_plugin.runs.selection import EpochSelection, metrics_of_part
from lung_srad_plugin.training.averaged_weights import AveragedWeights
from lung_srad_plugin.training.distributed import gather_from_processes, true_in_all_processes
from lung_srad_plugin.training.predictions import Predictions, check_finite
from lung_srad_plugin.training.sampler import EpochSampler
from lung_srad_plugin.training.state import TrainingState, prediction_stats
from lung_srad_plugin.training.unlabelled import UNLABELLED


class LungSoundBrain(sb.Brain):
    """Train and evaluate a lung-sound classifier with the Patch-Mix contrastive loss.

    ``modules`` holds ``mean_var_norm``, ``augment`` and ``model`` (a ``LungSoundModel``), and where wanted
    ``mel_augment``. ``hparams`` holds ``alpha_time``, ``alpha_frequency`` and ``alpha_patch`` (the weight of each axis'
    contrastive loss; an axis of weight 0 is not mixed), ``mix_beta``, ``contrastive_loss``, ``one_pass``, ``schedule``,
    ``labels``, ``class_weights`` (C), ``distillation_weight``, ``seed``, ``training_version``, ``select_by``,
    ``min_sensitivity``, ``ema_decay``, ``train_logger`` and ``report_test_selected``. Batches have ``id``, ``feats``
    and ``target``; those of training may have ``teacher`` (E,), and ``log_share`` (C,), which the loss adds.

    Every step draws its randomness from (seed, epoch, step, rank) alone. A run that was killed and resumed therefore
    takes the steps that an uninterrupted one takes.

    With an ``ema_decay`` the average of the weights is what is validated. Checkpoints hold it as the model, so that
    evaluation and export take it, and the weights of the last step, with which training goes on, apart.

    Attributes
    ----------
    draws : DataSetDraws or None
        Which cycles an epoch takes of each data set; None for every cycle once.
    data_sets : dict
        For ``valid`` and ``test``, the data set of each cycle by its ID, or None where it is one.
    predictions : Predictions or None
        Of the latest validation or test.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        alphas = {axis: getattr(self.hparams, f"alpha_{axis}") for axis in AXES}
        self.alphas = {axis: alpha for axis, alpha in alphas.items() if alpha != 0}
        projector = self.modules.model.projector
        if self.alphas and projector is None:
            raise LungSRADError("projector: null, but an alpha is not 0; the contrastive loss needs a projector")
        if projector is not None and not self.alphas:
            # It is not used, so distributed training must not wait for its gradients.
            projector.requires_grad_(False)
        self.selection = EpochSelection.of_settings(vars(self.hparams))
        self.state = TrainingState(self.hparams.labels)
        self.checkpointer.add_recoverable("state", self.state)
        self.averaged = None
        self.draws = None
        self.data_sets = {}
        self.test_set = None
        self.predictions = None
        self._batches = []

    # ---- one batch ----

    def compute_forward(self, batch, stage):
        """Return the model's output for the batch and the Patch-Mix plans it was computed with."""
        batch = batch.to(self.device)
        feats, lens = batch.feats
        if "mel_augment" in self.modules:  # runs of version 0.1 do not have it; it changes nothing in evaluation
            feats = self.modules.mel_augment(feats)
        feats = self.modules.mean_var_norm(feats, lens)
        if stage is not sb.Stage.TRAIN:
            return self.modules.model(feats), ()
        feats = self.modules.augment(feats)
        plans = tuple(
            draw_patch_mix(len(feats), self._map_size(feats), axis, beta=self.hparams.mix_beta) for axis in self.alphas
        )
        return self.modules.model(feats, plans, one_pass=self.hparams.one_pass), plans

    def compute_objectives(self, predictions, batch, stage):
        """Return the cross-entropy, in training plus the contrastive loss of each axis times its weight."""
        output, plans = predictions
        targets = batch.target
        log_probs = output.log_probs
        if stage is sb.Stage.TRAIN and hasattr(batch, "log_share"):
            log_probs = (log_probs + batch.log_share.data).log_softmax(dim=1)
        total = nll_loss(log_probs, targets, weight=self.hparams.class_weights.to(self.device), ignore_index=UNLABELLED)
        if (targets == UNLABELLED).all():
            total = log_probs.sum() * 0  # the mean of nothing is NaN
        losses = {"cross_entropy": total}
        for (axis, alpha), plan, projected in zip(self.alphas.items(), plans, output.projected, strict=bool(plans)):
            loss = self.hparams.contrastive_loss(output.pooled, projected, plan.lam, plan.index, targets)
            losses[f"contrastive_{axis}"] = loss
            total = total + alpha * loss
        if output.distilled is not None:
            loss = distillation_loss(output.distilled, batch.teacher.data)
            losses["distillation"] = loss
            total = total + self.hparams.distillation_weight * loss
        self._record(stage, batch.id, targets, output.log_probs.detach(), {"loss": total, **losses})
        return total

    def _record(self, stage, ids, targets, log_probs, losses):
        log_probs = log_probs.float().cpu()
        if stage is sb.Stage.TRAIN:
            known, targets = (targets != UNLABELLED).cpu(), targets.cpu()
            means = {name: loss.detach() for name, loss in losses.items()}
            self.state.add(means, targets[known], log_probs.argmax(1)[known])
        else:
            self._batches.append((list(ids), targets.cpu().numpy(), log_probs.numpy()))

    def _map_size(self, feats):
        """Return (H, W) of the embedding map of these features."""
        return self._model().encoder.map_size(frames=feats.shape[1], mels=feats.shape[2])

    def _model(self):
        """Return the model without the wrapper of distributed training."""
        return getattr(self.modules.model, "module", self.modules.model)

    def check_loss_isfinite(self, loss):
        """Stop at the first loss that is not finite, in all processes alike; SpeechBrain tolerates some an epoch."""
        if not true_in_all_processes(bool(torch.isfinite(loss)), self.device):
            raise self._diverged("the loss is not finite")

    def _check_weights(self):
        """Refuse to save weights that are not finite: a finite loss can have gradients that are not."""
        state = (*self.modules.parameters(), *self.modules.buffers())
        # Each process has running statistics of its own where BatchNorm is not synchronised.
        if not true_in_all_processes(all(bool(torch.isfinite(values).all()) for values in state), self.device):
            raise self._diverged("the weights are not finite")

    def _diverged(self, what):
        """Return the error of a training that diverged; the checkpoints of the epochs before are kept."""
        step = f", step {self.step}" if self.step else ""
        finished = self.state.history[-1]["epoch"] if self.state.history else 0
        kept = f"; --test_only evaluates the epochs up to {finished}, whose checkpoints are kept" if finished else ""
        return LungSRADError(
            f"epoch {self.epoch}{step}: {what}, so training stops{kept}; to train anew, choose "
            f"{'another output_folder and ' if finished else ''}a lower lr, a max_grad_norm such as 1.0, or "
            "warmup_epochs, and with fp16 another precision"
        )

    def on_fit_batch_start(self, batch, should_step):
        """Seed this step's draws: SpecAugment, Patch-Mix and drop path."""
        rank = getattr(self, "rank", 0)
        key = np.random.SeedSequence([self.hparams.seed, self.epoch, self.step, rank])
        torch.manual_seed(int(key.generate_state(1, np.uint64)[0]))

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        """Take the weights of this step into their average."""
        if should_step and self.averaged is not None:
            self.averaged.update_parameters(self._model())

    def _exchange_averaged(self):
        """Put the averaged weights into the model, or the trained ones back."""
        if self.averaged is not None:
            self.averaged.exchange(self._model())

    # ---- one epoch ----

    def on_stage_start(self, stage, epoch=None):
        """Start counting; set this epoch's learning rate, also after a resume; validate the averaged weights."""
        self._batches = []
        if stage is sb.Stage.VALID:
            self._exchange_averaged()
        if stage is sb.Stage.TRAIN:
            self.epoch = epoch
            self.lr = self.hparams.schedule(epoch)
            update_learning_rate(self.optimizer, self.lr)
            if self.step == 0:
                self.state.reset()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Gather and score the predictions; after validation, log the epoch and save a checkpoint."""
        if stage is sb.Stage.TRAIN:
            self.train_stats = self.state.summary()
            self.state.reset()
            return
        if stage is not sb.Stage.VALID:
            self.predictions = self._gather("test")
            return
        self._check_weights()
        self.predictions = self._gather(f"epoch {epoch}, validation")
        labels = self.hparams.labels
        entry = {
            "epoch": epoch,
            "lr": self.lr,
            "train": self.train_stats,
            "valid": prediction_stats(self.predictions, labels, self.data_sets.get("valid")),
        }
        meta = {"epoch": epoch, **metrics_of_part("valid", entry["valid"])}
        rules = ["valid"]
        if self.hparams.report_test_selected:
            entry["test"] = prediction_stats(self.predict(self.test_set), labels, self.data_sets.get("test"))
            meta |= metrics_of_part("test", entry["test"])
            rules.append("test")
        self.state.history.append(entry)
        self.state.reset()
        self.hparams.train_logger.log_stats(
            {"epoch": epoch, "lr": self.lr},
            train_stats=_flat(entry["train"]),
            valid_stats=_flat(entry["valid"]),
            test_stats=_flat(entry["test"]) if "test" in entry else None,
        )
        self.checkpointer.save_and_keep_only(
            meta=meta,
            num_to_keep=1,
            importance_keys=[rank_checkpoints(rule, self.selection) for rule in rules],
        )
        self._exchange_averaged()

    def _gather(self, stage):
        """Join the batches of all processes, in the order of the IDs; ``stage`` names them in an error."""
        batches = [batch for share in gather_from_processes(self._batches) for batch in share]
        ids = [name for batch in batches for name in batch[0]]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        predictions = Predictions(
            ids=[ids[row] for row in order],
            targets=np.concatenate([batch[1] for batch in batches])[order],
            log_probs=np.concatenate([batch[2] for batch in batches])[order],
        )
        check_finite(predictions, stage)
        return predictions

    def predict(self, dataset: DynamicItemDataset) -> Predictions:
        """Return the ``Predictions`` of the present weights on a data set; nothing is loaded or saved."""
        loader = self.make_dataloader(dataset, sb.Stage.TEST, ckpt_prefix=None, **self.hparams.test_loader_kwargs)
        self._batches = []
        self.modules.eval()
        for batch in loader:
            self.evaluate_batch(batch, sb.Stage.TEST)
        return self._gather("evaluation")

    # ---- checkpoints and processes ----

    def _save_intra_epoch_ckpt(self):
        """Save within an epoch, as ``--ckpt_interval_steps`` asks, once the weights are known to be finite."""
        self._check_weights()
        self.state.collect()
        self._exchange_averaged()
        super()._save_intra_epoch_ckpt()
        self._exchange_averaged()

    def on_fit_start(self):
        """Add what a resumed run needs, then resume from the newest complete checkpoint if there is one."""
        self._compile()
        self._wrap_distributed()
        self.init_optimizers()
        if self.hparams.ema_decay is not None:
            self.averaged = AveragedWeights(self._model(), self.hparams.ema_decay)
            self.checkpointer.add_recoverable("trained_weights", self.averaged)
        # Saved last: where its file is, the others are complete. A run may be killed while it saves.
        self.checkpointer.add_recoverable(COMPLETE, CompletionMark())
        if self.checkpointer.recover_if_possible(ckpt_predicate=is_complete) is not None:
            self._exchange_averaged()
        if self._optimizer_step_limit_exceeded:
            # SpeechBrain would take one more epoch, without a step, each time that the command is given again.
            self.hparams.epoch_counter.current = self.hparams.epoch_counter.limit

    def find_checkpoint(self, rule: str) -> Checkpoint:
        """Return the complete checkpoint that a rule of ``RULES`` selects; refuse where there is none."""
        return find_checkpoint(self.checkpointer, rule, self.selection)

    def load_epoch(self, rule: str) -> int:
        """Load the weights and the history of the epoch that a rule selects; return the epoch."""
        checkpoint = self.find_checkpoint(rule)
        self.checkpointer.load_checkpoint(checkpoint)
        return checkpoint.meta["epoch"]

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Load the epoch that ``max_key``, a rule of ``RULES``, selects: by default the one for ``valid``."""
        self.load_epoch(max_key or "valid")

    def make_dataloader(self, dataset, stage, ckpt_prefix="dataloader-", **loader_kwargs):
        """Shuffle training by (seed, epoch); share validation and test among the processes, each cycle once."""
        if stage is sb.Stage.TRAIN:
            order = None if self.draws is None else self.draws.epoch_order
            self.train_sampler = EpochSampler(len(dataset), self.hparams.seed, self.hparams.training_version, order)
            loader_kwargs = {**loader_kwargs, "sampler": self.train_sampler}
        elif self.distributed_launch:
            world = torch.distributed.get_world_size()
            dataset = FilteredSortedDynamicItemDataset(dataset, dataset.data_ids[self.rank :: world])
        return super().make_dataloader(dataset, stage, ckpt_prefix=ckpt_prefix, **loader_kwargs)

    def _wrap_distributed(self):
        """Wrap as SpeechBrain does, except that BatchNorm stays local on CPUs, where torch cannot synchronise it."""
        if not (self.distributed_launch and self.device_type == "cpu"):
            return super()._wrap_distributed()
        wrap = partial(DistributedDataParallel, find_unused_parameters=self.find_unused_parameters)
        for name, module in self.modules.items():
            if any(parameter.requires_grad for parameter in module.parameters()):
                self.modules[name] = wrap(module)


def _flat(stats):
    """Return the numbers of ``stats`` that fit in one line of the log."""
    scores = {f"{name} score": one["score"] for name, one in stats.get("data_sets", {}).items()}
    return {
        name: value if not isinstance(value, dict) else " ".join(f"{key} {recall:.1f}" for key, recall in value.items())
        for name, value in stats.items()
        if name not in ("data_sets", "over_data_sets")
    } | {name: "undefined" if score is None else score for name, score in scores.items()}


@register_checkpoint_hooks
class CompletionMark:
    """The last file of a checkpoint: where it is, the others are complete."""

    @mark_as_saver
    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.write("whole\n")

    @mark_as_loader
    def load(self, path, end_of_epoch):
        del path, end_of_epoch
