"""Time and memory of one training step of the recipe, against other ways to compute it.

    python benchmarks/training_step.py --ways ours floor passes recompute
    python benchmarks/training_step.py --device cuda --batch 16 --precision bf16 --ways ours floor mamba plain ast

A step is the recipe's own (``hparams/lung_srad.yaml``, random weights): SpecAugment, three views, loss, backward, Adam.
Every figure is a median, taken in turns. Peak memory is the most a step takes beyond what is kept between two steps:
weights, and the gradients and Adam's moments of those that are trained.
The ways:

ours       the recipe as it is
floor      with a scan that returns its input: what everything around the scan costs
passes     the three views one after another (one_pass: False)
recompute  each block computed again in the backward pass (gradient_checkpointing: True)
adam       Adam as torch selects it by default, instead of fused
compile    through torch.compile (on a CPU it needs a C++ compiler)
mamba      with the scan of mamba_ssm (NVIDIA GPU, extra 'cuda')
plain      one view and the cross-entropy alone: fine-tuning without Patch-Mix
lora       the recipe with a frozen encoder and adapters of rank 16 (extra 'lora')
ast        the same fine-tuning of Hugging Face's AST-base (extra 'bench')
"""

import argparse
import tempfile
from contextlib import nullcontext
from pathlib import Path

import torch
from measuring import FRAMES_PER_SECOND, MELS, TYPES, make_ast, no_scan, peak_megabytes, time_in_turns
from torch.nn.functional import cross_entropy

from lung_srad_plugin.nn.adapters import add_adapters
from lung_srad_plugin.runs.experiment import load_experiment, read_experiment
from lung_srad_plugin.training.brain import LungSoundBrain

EXPERIMENT = Path(__file__).parent.parent / "hparams" / "lung_srad.yaml"
CHANGES = {
    "ours": {},
    "floor": {},
    "passes": {"one_pass": False},
    "recompute": {"gradient_checkpointing": True},
    "adam": {},
    "compile": {},
    "mamba": {"scan_backend": "mamba"},
    "lora": {"lora_rank": 16},
    "plain": {"alpha_time": 0.0, "alpha_frequency": 0.0},
}
CLASSES = 4


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4, help="clips a step (default %(default)s)")
    parser.add_argument("--precision", choices=TYPES, default="fp32", help="default %(default)s")
    parser.add_argument("--seconds", type=float, default=8, help="length of a clip (default %(default)g)")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each (default %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default %(default)s)")
    parser.add_argument("--ways", choices=(*CHANGES, "ast"), nargs="+", default=["ours", "floor"], help="see above")
    arguments = parser.parse_args()
    if "ours" not in arguments.ways:
        parser.error("--ways: ours is what the others are compared with")

    torch.manual_seed(0)
    batch = Batch(arguments.batch, round(arguments.seconds * FRAMES_PER_SECOND)).to(arguments.device)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, DASS-medium, {arguments.device}")
    print(f"{arguments.batch} clips of {arguments.seconds:g} s a step, {arguments.precision}")
    with tempfile.TemporaryDirectory() as folder:
        steps, kept = {}, {}
        for way in arguments.ways:
            steps[way], kept[way] = make_step(way, batch, arguments, folder)
        seconds = dict(zip(steps, time_in_turns(steps.values(), arguments.repeats, arguments.device), strict=True))
        memory = {way: peak_megabytes(step, arguments.device) for way, step in steps.items()}
    print(f"{'way':>10} {'ms/clip':>9} {'clips/s':>8} {'ours / it':>10} {'peak MB':>9} {'kept MB':>9}")
    for way, took in seconds.items():
        print(
            f"{way:>10} {1e3 * took / arguments.batch:9.1f} {arguments.batch / took:8.2f} "
            f"{seconds['ours'] / took:10.3f} {memory[way]:9.0f} {kept[way]:9.0f}"
        )


class Batch:
    """A batch of noise, as ``LungSoundBrain`` takes it."""

    def __init__(self, clips, frames):
        self.id = [str(number) for number in range(clips)]
        self.feats = torch.randn(clips, frames, MELS), torch.ones(clips)
        self.target = torch.arange(clips) % CLASSES

    def to(self, device):
        """Move the tensors."""
        self.feats = tuple(value.to(device) for value in self.feats)
        self.target = self.target.to(device)
        return self


def make_step(way, batch, arguments, folder):
    """A call without arguments that takes one training step, and what training keeps between two of them, in MB."""
    if way == "ast":
        return make_ast_step(batch, arguments)
    brain = make_brain(CHANGES[way], arguments, folder)
    if way == "adam":
        brain.optimizer.param_groups[0]["fused"] = None
    if way == "compile":
        brain.modules["model"].encoder.compile(dynamic=False)
    context = no_scan if way == "floor" else nullcontext

    def step():
        with context():
            brain.fit_batch(batch)

    return step, kept_megabytes(brain.modules)


def kept_megabytes(module):
    """Weights, and the gradients and Adam's two moments of those that are trained, in 1e6 bytes."""
    return sum(4e-6 * values.numel() * (4 if values.requires_grad else 1) for values in module.parameters())


def make_brain(changes, arguments, folder):
    """The recipe's brain, ready for its first step."""
    given = {"data_folder": str(folder), "pretrained": None, "output_folder": str(folder), **changes}
    hparams = load_experiment(*read_experiment(EXPERIMENT, given))
    hparams["class_weights"] = torch.ones(CLASSES)
    if hparams["lora_rank"] is not None:
        add_adapters(hparams["embedding_model"], hparams["lora_rank"], hparams["lora_alpha"])
    brain = LungSoundBrain(
        hparams["modules"],
        hparams["opt_class"],
        hparams,
        {"device": arguments.device, "precision": arguments.precision},
        checkpointer=hparams["checkpointer"],
    )
    brain.init_optimizers()
    brain.modules.train()
    brain.state.reset()
    brain.epoch = 1
    return brain


def make_ast_step(batch, arguments):
    """A fine-tuning step of AST-base: forward, cross-entropy, backward, fused Adam."""
    model = make_ast(batch.feats[0].shape[1], CLASSES).to(arguments.device).train()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    dtype = TYPES[arguments.precision]

    def step():
        with torch.autocast(batch.target.device.type, dtype) if dtype != torch.float32 else nullcontext():
            loss = cross_entropy(model(batch.feats[0]).logits.float(), batch.target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step, kept_megabytes(model)


if __name__ == "__main__":
    main()
