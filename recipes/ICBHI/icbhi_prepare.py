"""Prepares ICBHI 2017: writes train.csv, valid.csv, test.csv and summary.json.

    python recipes/ICBHI/icbhi_prepare.py DATA_FOLDER SAVE_FOLDER --split official --valid patients

The work is done by ``lung_srad_plugin.datasets.icbhi.prepare.prepare_icbhi``, which the training script calls too.
"""

import argparse
import sys

from lung_srad_plugin.datasets.icbhi.prepare import SPLITS, VALIDS, prepare_icbhi
from lung_srad_plugin.errors import LungSRADError


def main():
    """Read the command line, prepare, and turn a mistake of the user into one message and exit status 2."""
    parser = argparse.ArgumentParser(
        description="Write train.csv, valid.csv, test.csv and summary.json for ICBHI 2017.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("data_folder", help="the official download or its Kaggle mirror, unpacked")
    parser.add_argument("save_folder", help="where to write")
    parser.add_argument("--split", choices=SPLITS, default="official", help="corrected drops patients 156 and 218")
    parser.add_argument("--valid", choices=VALIDS, default="patients", help="test is the published protocol")
    parser.add_argument("--valid_fraction", type=float, default=0.2, help="share of train for --valid patients")
    parser.add_argument("--folds", type=int, default=5, help="for --split kfold")
    parser.add_argument("--fold", type=int, default=0, help="the test fold, from 0, for --split kfold")
    parser.add_argument("--test_device", help="the device that is the test set, for --split device")
    parser.add_argument("--seed", type=int, default=1986, help="decides which patients are drawn")
    parser.add_argument("--strict", choices=("true", "false"), default="true", help="false leaves out what is faulty")
    arguments = vars(parser.parse_args())
    arguments["strict"] = arguments["strict"] == "true"
    try:
        prepare_icbhi(**arguments)
    except LungSRADError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
