"""The optimiser that an experiment names is the one that is built."""

import pytest
import torch
from toy import HPARAMS

from lung_srad_plugin import LungSRADError, make_optimizer
from lung_srad_plugin.runs.experiment import load_experiment, read_experiment


def parameters():
    return [torch.nn.Parameter(torch.ones(3))]


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
def test_named_optimiser_is_built(name):
    optimizer = make_optimizer(parameters(), name, lr=0.2, weight_decay=0.3)
    assert type(optimizer) is getattr(torch.optim, name)
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.2, 0.3)


def test_unknown_optimiser_is_refused():
    with pytest.raises(LungSRADError, match="'Adagrad' is unknown"):
        make_optimizer(parameters(), "Adagrad")


def test_experiment_that_builds_on_another_gets_its_own_optimiser(tmp_path):
    given = {"data_folder": "x", "output_folder": str(tmp_path), "dims": [8, 8, 8, 8], "depths": [1, 1, 1, 1]}
    hparams = load_experiment(*read_experiment(HPARAMS / "starter.yaml", given))
    optimizer = hparams["opt_class"](parameters())
    assert type(optimizer) is torch.optim.AdamW
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.002, 0.05)


def test_another_tag_replaces_what_is_built(tmp_path):
    (tmp_path / "base.yaml").write_text("opt_class: !name:torch.optim.Adam\n    lr: 0.1\n", encoding="utf-8")
    short = tmp_path / "short.yaml"
    short.write_text("base: base.yaml\nopt_class: !name:torch.optim.SGD\n    momentum: 0.2\n", encoding="utf-8")
    optimizer = load_experiment(*read_experiment(short))["opt_class"](parameters())
    assert type(optimizer) is torch.optim.SGD
    assert (optimizer.defaults["lr"], optimizer.defaults["momentum"]) == (0.001, 0.2)  # torch's own lr
    short.write_text("base: base.yaml\nopt_class:\n    lr: 0.2\n", encoding="utf-8")
    optimizer = load_experiment(*read_experiment(short))["opt_class"](parameters())
    assert (type(optimizer), optimizer.defaults["lr"]) == (torch.optim.Adam, 0.2)
