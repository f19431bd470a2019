"""Train and evaluate Lung-SRAD on ICBHI 2017, or on any data set with the same manifests.

    python recipes/ICBHI/train.py hparams/lung_srad.yaml --data_folder ICBHI --pretrained DASS_medium_v2.pth
    torchrun --nproc_per_node 2 recipes/ICBHI/train.py hparams/lung_srad.yaml ...

Any key of the hyperparameter file can be replaced by ``--key value``. A run that was stopped resumes from its last
checkpoint when the command is given again.
"""

import sys

from lung_srad_plugin.training.recipe import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
