"""Time the encoder against itself without the scan, with the scan's definition, and against AST-base.

    python benchmarks/encoder.py --batch 1 4 16 --reference --ast
    python benchmarks/encoder.py --growth

Every figure is a median, and every ratio compares runs of this one call, taken in turns, so that a busy machine slows
both sides alike. The encoders:

floor      the same encoder whose scan returns its input: what everything around the scan costs
plain      the floor as torch alone computes it on a CPU, without the fused calls of encoders/dass/fused_ops.py
reference  the same encoder whose scan is the step-by-step definition
ast        Hugging Face's Audio Spectrogram Transformer, base size, random weights, on as many frames
"""

import argparse
from contextlib import nullcontext

import torch
from measuring import FRAMES_PER_SECOND, MELS, TYPES, make_ast, no_scan, peak_megabytes, plain_calls, time_in_turns

from lung_srad_plugin.encoders.dass.encoder import DASSEncoder


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("small", "medium"), default="medium", help="encoder (default %(default)s)")
    parser.add_argument("--batch", type=int, nargs="+", default=[4], help="clips at a time (default 4)")
    parser.add_argument("--precision", choices=TYPES, nargs="+", default=list(TYPES), help="default: both")
    parser.add_argument("--pass", choices=("forward", "both"), nargs="+", default=["forward", "both"], dest="passes")
    parser.add_argument("--seconds", type=float, default=8, help="length of a clip (default %(default)g)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each (default %(default)s)")
    parser.add_argument("--threads", type=int, help="default: torch's choice")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default %(default)s)")
    parser.add_argument("--plain", action="store_true", help="time the floor without fused calls too")
    parser.add_argument("--reference", action="store_true", help="time the scan's definition too (slow)")
    parser.add_argument("--ast", action="store_true", help="time AST-base too (needs the extra 'bench')")
    parser.add_argument("--growth", action="store_true", help="time and memory of one clip of 2 to 64 s, instead")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, DASS-{arguments.size}, {arguments.device}")
    if arguments.growth:
        print_growth(arguments)
    else:
        print_ratios(arguments)


def print_ratios(arguments):
    """Print a row for each precision, batch size and pass."""
    frames = round(arguments.seconds * FRAMES_PER_SECOND)
    encoders = make_encoders(arguments, frames)
    others = [name for name in encoders if name != "ours"]
    print(f"clips of {arguments.seconds:g} s ({frames} frames); both = forward and backward")
    print("precision batch    pass  ms/clip " + " ".join(f"{'ours/' + name:>14}" for name in others))
    for precision in arguments.precision:
        for batch in arguments.batch:
            feats = torch.randn(batch, frames, MELS, device=arguments.device)
            for which in arguments.passes:
                jobs = [job(encoder, feats, TYPES[precision], which) for encoder in encoders.values()]
                seconds = dict(zip(encoders, time_in_turns(jobs, arguments.repeats, arguments.device), strict=True))
                ratios = " ".join(f"{seconds['ours'] / seconds[name]:14.3f}" for name in others)
                print(f"{precision:>9} {batch:5} {which:>7} {1e3 * seconds['ours'] / batch:8.1f} {ratios}", flush=True)


def print_growth(arguments):
    """Print time and memory of the forward pass by clip length, as multiples of those of 8 s."""
    encoder = make_encoders(arguments, frames=None)["ours"]
    lengths = (2, 4, 8, 16, 32, 64)
    for precision in arguments.precision:
        clips = [torch.randn(1, seconds * FRAMES_PER_SECOND, MELS, device=arguments.device) for seconds in lengths]
        jobs = [job(encoder, feats, TYPES[precision], "forward") for feats in clips]
        times = time_in_turns(jobs, arguments.repeats, arguments.device)
        memory = [peak_megabytes(job, arguments.device) for job in jobs]
        at_8 = lengths.index(8)
        for seconds, took, megabytes in zip(lengths, times, memory, strict=True):
            print(
                f"{precision} {seconds:3} s: {1e3 * took:8.1f} ms, {took / times[at_8]:5.2f} x 8 s; "
                f"{megabytes:7.1f} MB above the weights, {megabytes / memory[at_8]:5.2f} x 8 s",
                flush=True,
            )


def make_encoders(arguments, frames):
    """The encoders to compare, by name; each is called with features (B,T,F)."""

    def make(scan_backend=None):
        return getattr(DASSEncoder, arguments.size)(scan_backend=scan_backend, drop_path_rate=0.0).to(arguments.device)

    ours = make()
    encoders = {"ours": ours}
    if arguments.growth:
        return encoders
    encoders["floor"] = lambda feats: without_scan(ours, feats)
    if arguments.plain:
        encoders["plain"] = lambda feats: without_scan_in_plain_calls(ours, feats)
    if arguments.reference:
        encoders["reference"] = make("reference")
    if arguments.ast:
        encoders["ast"] = make_ast(frames).to(arguments.device)
    return encoders


def without_scan(encoder, feats):
    with no_scan():
        return encoder(feats)


def without_scan_in_plain_calls(encoder, feats):
    with plain_calls():
        return without_scan(encoder, feats)


def job(encoder, feats, dtype, which):
    """A call without arguments that runs the encoder forward, or forward and backward."""

    def forward():
        with torch.autocast(feats.device.type, dtype) if dtype != torch.float32 else nullcontext():
            output = encoder(feats)
        return output if isinstance(output, torch.Tensor) else output.pooler_output

    def without_gradients():
        with torch.no_grad():
            forward()

    return without_gradients if which == "forward" else lambda: forward().float().sum().backward()


if __name__ == "__main__":
    main()
