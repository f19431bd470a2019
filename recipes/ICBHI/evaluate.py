"""Evaluate a training run, an exported model or predictions, as ``lung-srad evaluate`` does.

python recipes/ICBHI/evaluate.py results/lung_srad/1 --output report
python recipes/ICBHI/evaluate.py results/lung_srad/* --output report
python recipes/ICBHI/evaluate.py results/lung_srad/1/export test.csv --data-root ICBHI --output report
"""

import sys

from lung_srad_plugin.cli.main import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
