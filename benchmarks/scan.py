"""Time the scans of one encoder: the backends against the definition, against the products around them, and growth.

    python benchmarks/scan.py --reference

Every figure is a median, and every ratio compares runs of this one call, taken in turns, so that a busy machine slows
both sides alike. "products" are the matrix products and the depthwise convolution of the same SS2D layers without their
scan: what a layer costs without it.
"""

import argparse
from functools import partial

import torch
import torch.nn.functional as F
from measuring import time_in_turns

from lung_srad_plugin.scan.dispatch import available_scan_backends, cross_scan_projected

# Height, width, channels and number of the scans of DASS-medium for one clip of 8 s (1024 frames).
STAGES = ((32, 256, 96, 2), (16, 128, 192, 2), (8, 64, 384, 20), (4, 32, 768, 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4, help="clips at a time (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=8, help="length of a clip (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each (default %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default %(default)s)")
    parser.add_argument("--backend", help="scan to time; default: the one for the device")
    parser.add_argument("--reference", action="store_true", help="time the step-by-step definition too (slow)")
    parser.add_argument("--growth", action="store_true", help="time clips of 8 s and 64 s at the first stage")
    arguments = parser.parse_args()

    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, backends {available_scan_backends()}")
    print(f"{arguments.batch} clips of {arguments.seconds:g} s, fp32; ms per clip and layer, forward")
    print(f"{'map':>18} {'scan':>9} {'with grad':>9} {'products':>9} {'with grad':>9} {'reference':>9}")
    totals = [0.0] * 5
    for height, width, channels, layers in STAGES:
        width = max(1, round(width * arguments.seconds / 8))
        times = time_stage(arguments, height, width, channels)
        totals = [total + layers * value for total, value in zip(totals, times, strict=True)]
        print(f"{f'{height}x{width}x{channels}':>18} " + " ".join(f"{1e3 * value:9.2f}" for value in times))
    forward_scan, both_scan, forward_products, both_products, reference = totals
    print(f"{'all layers':>18} " + " ".join(f"{1e3 * value:9.2f}" for value in totals))
    print(f"scan / products: {forward_scan / forward_products:.2f}, with gradients {both_scan / both_products:.2f}")
    if arguments.reference:
        print(f"scan / reference: {forward_scan / reference:.4f}")
    if arguments.growth:
        clips = [draw_inputs(1, 32, width, 96, arguments.device) for width in (256, 2048)]
        jobs = [lambda clip=clip: forward(partial(scan, arguments), clip) for clip in clips]
        short, long = time_in_turns(jobs, 3 * arguments.repeats, arguments.device)
        print(f"8 s -> 64 s at the first stage: {long / short:.2f} x the time")


def scan(arguments, *inputs):
    return cross_scan_projected(*inputs, backend=arguments.backend)


def products(x, into, out, kernel):
    """An SS2D layer without its scan: two matrix products, a depthwise convolution and SiLU."""
    y = F.linear(x, into).permute(0, 3, 1, 2)
    y = F.silu(F.conv2d(y, kernel, padding=1, groups=len(kernel))).permute(0, 2, 3, 1)
    return F.linear(y, out)


def time_stage(arguments, height, width, channels):
    """Return seconds per clip: scan, scan with gradients, products, products with gradients, reference (or 0)."""
    scan_inputs = draw_inputs(arguments.batch, height, width, channels, arguments.device)
    weights = [torch.randn(channels, channels, device=arguments.device) / channels**0.5 for _ in range(2)]
    kernel = torch.randn(channels, 1, 3, 3, device=arguments.device) / 3

    ours = partial(scan, arguments)
    product_inputs = [scan_inputs[0], *weights, kernel]
    jobs = [
        lambda: forward(ours, scan_inputs),
        lambda: forward_and_backward(ours, scan_inputs),
        lambda: forward(products, product_inputs),
        lambda: forward_and_backward(products, product_inputs),
    ]
    if arguments.reference:
        jobs.append(lambda: forward(partial(cross_scan_projected, backend="reference"), scan_inputs))
    times = time_in_turns(jobs, arguments.repeats, arguments.device)
    return [value / arguments.batch for value in times] + [0.0] * (5 - len(times))


def draw_inputs(batch, height, width, channels, device):
    """Random inputs of ``cross_scan_projected`` with one state and the rank SS2D takes, a sixteenth of the channels."""
    rank = -(-channels // 16)
    positions = (batch, height, width)
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    inputs = (
        normal(*positions, channels),
        normal(*positions, 4, rank),
        normal(4, channels, rank) / rank**0.5,
        normal(*positions, 4, 1),
        normal(*positions, 4, 1),
        -torch.rand(4, channels, 1, generator=generator),
        torch.ones(4, channels),
        normal(4, channels) - 4,
    )
    return [value.to(device) for value in inputs]


def forward(function, inputs):
    with torch.no_grad():
        function(*inputs)


def forward_and_backward(function, inputs):
    inputs = [value.detach().requires_grad_() for value in inputs]
    y = function(*inputs)
    torch.autograd.grad(y, inputs, torch.ones_like(y))


if __name__ == "__main__":
    main()
