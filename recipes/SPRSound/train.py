"""Train and evaluate on SPRSound; the validation part is of other patients, the test set is the inter test.

    python recipes/SPRSound/train.py hparams/sprsound.yaml --data_folder SPRSOUND

Any key of the hyperparameter file can be replaced by ``--key value``. A run that was stopped resumes when the command
is given again.
"""

import sys

from lung_srad_plugin.training.recipe import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
