"""Evaluate a model on KAUH in one command: whole recordings, heard in windows, with intervals by subject.

    python recipes/KAUH/evaluate.py results/lung_srad/1/export KAUH report --mixed leave_out

The manifest and the mapping of labels are written to the report's folder, and the report shows the mapping.
"""

import argparse
import sys
from pathlib import Path

from lung_srad_plugin.datasets.kauh.prepare import MIXED_CHOICES, prepare_kauh
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.command import evaluate, print_summary


def main():
    """Read the command line, prepare, evaluate, and turn a mistake of the user into one message and exit status 2."""
    parser = argparse.ArgumentParser(description="Evaluate a model on the KAUH recordings.")
    parser.add_argument("model", help="a model folder, or the output folder of a training run")
    parser.add_argument("data_folder", help="the KAUH download, unpacked")
    parser.add_argument("output", type=Path, help="where to write")
    parser.add_argument("--mixed", choices=MIXED_CHOICES, required=True, help="what I C B and I C E W are")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--device", help="cpu, cuda, ...; the best there is if left out")
    arguments = parser.parse_args()
    try:
        prepared = prepare_kauh(arguments.data_folder, arguments.output, arguments.mixed)
        report = evaluate(
            arguments.model,
            arguments.output,
            prepared.manifest,
            data_root=prepared.data_root,
            labels_map=prepared.labels_map,
            windows=True,
            batch_size=arguments.batch_size,
            device=arguments.device,
        )
    except LungSRADError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print_summary(report, arguments.output)


if __name__ == "__main__":
    main()
