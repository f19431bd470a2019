"""What the processes of a run share: decisions, statistics, errors; and that nothing is left when they end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import time
from pathlib import Path

import torch
from speechbrain.utils.run_opts import RunOptions

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.training import distributed
from lung_srad_plugin.training.state import TrainingState


def gloo_threads():
    count = 0
    for task in Path("/proc/self/task").iterdir():
        try:
            count += "gloo" in task.joinpath("comm").read_text()
        except OSError:  # ended meanwhile
            continue
    return count


def step():
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 3))
    model(torch.randn(2, 3)).sum().backward()
    torch.distributed.all_gather_object([None, None], [torch.distributed.get_rank()])
    torch.distributed.barrier()
    assert distributed.true_in_all_processes(True, "cpu")
    # A loss that is not finite in one process must stop all of them, or the others would wait for its gradients.
    assert not distributed.true_in_all_processes(torch.distributed.get_rank() == 0, "cpu")


def share_statistics(rank, folder):
    # Two batches in the first process, three in the second.
    state = TrainingState(["normal", "crackle"])
    for _ in range(2 + rank):
        state.add({"loss": 10.0 * (1 + rank)}, targets=[rank], predictions=[0])
    state.collect()  # as before a checkpoint within an epoch, which the main process saves
    if rank == 0:
        state.save(folder / "state.json")
    torch.distributed.barrier()
    resumed = TrainingState(["normal", "crackle"])
    resumed.load(folder / "state.json", end_of_epoch=False)
    for found in (state, resumed):
        summary = found.summary()
        assert summary["loss"] == (2 * 10.0 + 3 * 20.0) / 5, summary
        assert (summary["specificity"], summary["sensitivity"]) == (100.0, 0.0), summary


def share_an_error(rank):
    def fail():
        assert rank == 0
        raise LungSRADError("other settings")

    try:
        distributed.run_on_main(fail)
    except LungSRADError as error:
        assert str(error) == "other settings"
    else:
        raise AssertionError("the error was lost")


_, options, _ = RunOptions.from_command_line_args(["none.yaml", "--distributed_backend", "gloo", "--device", "cpu"])
distributed.join_process_group(options)
step()
assert distributed.count_processes() == 2
share_statistics(torch.distributed.get_rank(), Path(__file__).parent)
share_an_error(torch.distributed.get_rank())
assert gloo_threads() or torch.__version__ < "2.11"  # older ones give them no name
distributed.leave_process_group()
deadline = time.monotonic() + 5  # the system may show a thread for a moment after its end
while gloo_threads():
    assert time.monotonic() < deadline, "gloo's threads have not ended"
    time.sleep(0.01)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads the names of threads from Linux's /proc")
def test_processes_share_what_they_must_and_leave_no_thread(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(program)]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
