"""Time the curves of a stage of DASS-medium: wall clock and CPU seconds, and how they divide.

    python benchmarks/spectrum.py

Random weights and random features: the work does not depend on what is in them. CPU seconds are of all threads; on a
busy machine they say more than the wall clock.
"""

import argparse
import os
import time

import torch
from measuring import FRAMES_PER_SECOND, MELS

from lung_srad_plugin import DASSEncoder, mean_mixing, scan_mixing, unscaled_response
from lung_srad_plugin.analysis.mixing_layers import mixing_layers, run_clip
from lung_srad_plugin.analysis.spectra import measure_spectra


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("small", "medium"), default="medium", help="encoder (default %(default)s)")
    parser.add_argument("--stage", default="2", help="from 0 (default %(default)s)")
    parser.add_argument("--cycles", type=int, default=16, help="how many (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=8, help="length of a cycle (default %(default)s)")
    parser.add_argument("--channels", type=int, default=16, help="of the comparison (default %(default)s)")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    encoder = getattr(DASSEncoder, arguments.size)().eval()
    feats = torch.randn(1, round(arguments.seconds * FRAMES_PER_SECOND), MELS)
    layers = mixing_layers(encoder, [arguments.stage])
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    print(f"DASS-{arguments.size}, stage {arguments.stage}: {len(layers)} blocks, {arguments.cycles} cycles")
    passed = run_clip(encoder, feats, layers)
    size, u = passed[0].size, passed[0].u
    mixing = mean_mixing(layers[0].module, u)[0]
    some = list(range(min(arguments.channels, u.shape[-1])))
    report("encoding of a cycle", lambda: run_clip(encoder, feats, layers))
    report("mean matrix of a block and cycle", lambda: mean_mixing(layers[0].module, u))
    report(f"matrices of {len(some)} of {u.shape[-1]} channels", lambda: scan_mixing(layers[0].module, u, some))
    report("response along positions", lambda: unscaled_response(mixing, (len(mixing),)))
    report("response over both axes", lambda: unscaled_response(mixing, size))
    report("all curves", lambda: measure_spectra(encoder, [feats] * arguments.cycles, [arguments.stage]))


def report(name, job):
    """Print how long a job takes, once."""
    wall, cpu = time.perf_counter(), time.process_time()
    job()
    print(f"{name:<36} {time.perf_counter() - wall:9.3f} s {time.process_time() - cpu:9.3f} CPU s")


if __name__ == "__main__":
    main()
