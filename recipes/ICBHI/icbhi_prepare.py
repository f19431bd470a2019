"""Prepare ICBHI 2017, as ``lung-srad prepare`` does: write train.csv, valid.csv, test.csv and summary.json.

python recipes/ICBHI/icbhi_prepare.py DATA_FOLDER SAVE_FOLDER --split official --valid patients
"""

import sys

from lung_srad_plugin.cli.main import main

if __name__ == "__main__":
    main(["prepare", *sys.argv[1:]])
