"""Idle threads sleep unless the user decided otherwise; the container's CPU quota bounds the number of threads."""

import os
import subprocess
import sys

import pytest
import torch

from lung_srad_plugin.training.recipe import train
from lung_srad_plugin.utils import threads
from lung_srad_plugin.utils.threads import WAIT_VARIABLES, cpu_quota, respect_cpu_quota


def in_a_new_process(code, **environment):
    """Run code without the variables that decide how threads wait, but for those given."""
    kept = {name: value for name, value in os.environ.items() if name not in WAIT_VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**kept, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip() + done.stderr


PRINT = "import os; print(os.environ.get('OMP_WAIT_POLICY'))"


def test_importing_the_package_makes_idle_threads_sleep():
    assert in_a_new_process("import lung_srad_plugin; " + PRINT) == "PASSIVE"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("OMP_WAIT_POLICY", "ACTIVE", "ACTIVE"), ("GOMP_SPINCOUNT", "9", "None"), ("KMP_BLOCKTIME", "5", "None")],
)
def test_the_choice_of_the_user_stays(name, value, expected):
    assert in_a_new_process("import lung_srad_plugin; " + PRINT, **{name: value}) == expected


def test_nothing_is_set_where_torch_is_loaded_already():
    assert in_a_new_process("import sys; sys.modules['torch'] = sys; import lung_srad_plugin; " + PRINT) == "None"


def test_importing_the_package_loads_neither_torch_nor_numpy():
    assert in_a_new_process("import sys, lung_srad_plugin; print({'torch', 'numpy'} & set(sys.modules))") == "set()"


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP prints its settings")
def test_openmp_of_torch_takes_the_policy():
    printed = in_a_new_process("import lung_srad_plugin, torch", OMP_DISPLAY_ENV="TRUE")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in printed


# ---- the quota ----


@pytest.fixture
def groups(tmp_path):
    """Write a hierarchy of control groups: by path, the text of a file."""

    def write(membership, files):
        (tmp_path / "membership").write_text(membership, encoding="utf-8")
        for name, text in files.items():
            path = tmp_path / "mounted" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path / "membership", tmp_path / "mounted"

    return write


def version_1(folder, quota, period=100000):
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/\n", {"cpu.max": "25000 50000\n"}, 0.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3.0),
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n", "a/cpu.max": "300000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "300000 100000\n"}, 3.0),
        # In a container without a namespace of its own the path is the host's, the mount the container's.
        ("0::/docker/123\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/../../other\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/\n", {"cpu.max": "nonsense\n"}, None),
        ("0::/\n", {}, None),
        ("", {"cpu.max": "200000 100000\n"}, None),
        ("2:cpuacct:/\n1:cpu:/\n0::/\n", version_1("cpu", -1), None),
        ("1:cpu:/\n", version_1("cpu", 250000), 2.5),
        ("4:memory:/x\n3:cpu,cpuacct:/docker/1\n", version_1("cpu,cpuacct", 100000), 1.0),
        ("3:cpu,cpuacct:/docker/1\n", version_1("cpu,cpuacct/docker/1", 50000) | version_1("cpu,cpuacct", -1), 0.5),
        ("3:cpuset:/a\n", version_1("cpuset/a", 100000), None),
        ("1:cpu:/\n", version_1("cpu", 100000, period=0), None),
    ],
)
def test_quota_of_control_groups(groups, membership, files, quota):
    assert cpu_quota(*groups(membership, files)) == quota


def test_a_system_without_control_groups_has_no_quota(tmp_path):
    assert cpu_quota(tmp_path / "absent", tmp_path) is None


@pytest.fixture
def counted(monkeypatch):
    """Threads of a process of eight that has not asked for its quota yet."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    number = [8]
    monkeypatch.setattr(torch, "get_num_threads", lambda: number[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: number.__setitem__(0, count))
    respect_cpu_quota.cache_clear()
    yield number
    respect_cpu_quota.cache_clear()


@pytest.mark.parametrize(("quota", "expected"), [(None, 8), (0.2, 1), (1.0, 1), (1.5, 2), (2.0, 2), (16.0, 8)])
def test_threads_are_no_more_than_the_quota_rounded_up(counted, monkeypatch, quota, expected):
    monkeypatch.setattr(threads, "cpu_quota", lambda: quota)
    respect_cpu_quota()
    assert counted == [expected]


def test_a_number_that_is_set_later_stays(counted, monkeypatch):
    monkeypatch.setattr(threads, "cpu_quota", lambda: 2.0)
    respect_cpu_quota()
    torch.set_num_threads(6)
    respect_cpu_quota()
    assert counted == [6]


def test_the_number_of_the_environment_stays(counted, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setattr(threads, "cpu_quota", lambda: 2.0)
    respect_cpu_quota()
    assert counted == [8]


def test_loading_a_model_respects_the_quota(counted, monkeypatch, model_folder):
    from lung_srad_plugin import LungSoundClassifier

    monkeypatch.setattr(threads, "cpu_quota", lambda: 2.0)
    LungSoundClassifier.from_hparams(source=model_folder, run_opts={"device": "cpu"})
    assert counted == [2]


def test_training_respects_the_quota(counted, monkeypatch, tmp_path):
    monkeypatch.setattr(threads, "cpu_quota", lambda: 3.0)
    with pytest.raises(ValueError, match="no such hyperparameter file"):
        train([str(tmp_path / "absent.yaml")])
    assert counted == [3]
