"""Leaving the group of processes: nothing of it may be left when Python ends."""

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

from lung_srad_plugin.training.distributed import join_process_group, leave_process_group, true_in_all_processes


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
    assert true_in_all_processes(True, "cpu")
    # A loss that is not finite in one process must stop all of them, or the others would wait for its gradients.
    assert not true_in_all_processes(torch.distributed.get_rank() == 0, "cpu")


_, options, _ = RunOptions.from_command_line_args(["none.yaml", "--distributed_backend", "gloo", "--device", "cpu"])
join_process_group(options)
step()
assert gloo_threads()
leave_process_group()
deadline = time.monotonic() + 5  # the system may show a thread for a moment after its end
while gloo_threads():
    assert time.monotonic() < deadline, "gloo's threads go on"
    time.sleep(0.01)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads the names of threads from Linux's /proc")
def test_no_thread_outlives_the_group(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(program)]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
