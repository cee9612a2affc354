"""Limits of control groups, read from trees that look as the kernel's do."""

from pathlib import Path

import pytest

from mlfoundry.system_metrics.catalogue import SERIES, find
from mlfoundry.system_metrics.container import Container

GIB = 1 << 30
V2_MOUNT = "30 23 0:26 {top} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1_NO_LIMIT = 9223372036854771712


class Tree:
    """A fake file system with /proc/self and control groups."""

    def __init__(self, root):
        self.root = root
        self.write("/proc/self/cgroup", "0::/\n")
        self.write("/proc/self/mountinfo", "")

    def write(self, path, text):
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(str(text))

    def v2_group(self, path, **files):
        folder = f"/sys/fs/cgroup{path}"
        self.write(f"{folder}/cgroup.type", "domain\n")
        self.write(f"{folder}/memory.max", files.get("memory_max", "max"))
        self.write(f"{folder}/memory.current", files.get("current", 0))
        self.write(f"{folder}/memory.stat", f"anon 5\ninactive_file {files.get('inactive', 0)}\n")
        self.write(f"{folder}/cpu.max", files.get("cpu_max", "max 100000"))
        self.cpu_v2(path, 0, 0)

    def cpu_v2(self, path, usage_s, throttled_s):
        text = f"usage_usec {int(usage_s * 1e6)}\nuser_usec 1\nthrottled_usec {int(throttled_s * 1e6)}\n"
        self.write(f"/sys/fs/cgroup{path}/cpu.stat", text)

    def v1_group(self, path, **files):
        memory, cpu = f"/sys/fs/cgroup/memory{path}", f"/sys/fs/cgroup/cpu,cpuacct{path}"
        self.write(f"{memory}/memory.limit_in_bytes", files.get("memory_limit", V1_NO_LIMIT))
        self.write(f"{memory}/memory.usage_in_bytes", files.get("usage", 0))
        text = f"inactive_file 1\ntotal_inactive_file {files.get('inactive', 0)}\n"
        self.write(f"{memory}/memory.stat", text)
        self.write(f"{cpu}/cpu.cfs_quota_us", files.get("quota", -1))
        self.write(f"{cpu}/cpu.cfs_period_us", 100000)
        self.cpu_v1(path, 0, 0)

    def cpu_v1(self, path, usage_s, throttled_s):
        cpu = f"/sys/fs/cgroup/cpu,cpuacct{path}"
        self.write(f"{cpu}/cpuacct.usage", int(usage_s * 1e9))
        self.write(f"{cpu}/cpu.stat", f"nr_periods 1\nthrottled_time {int(throttled_s * 1e9)}\n")

    def source(self):
        return Container(proc=f"{self.root}/proc", root=str(self.root))


def v1_mounts(top="/"):
    return "".join(
        f"3{number} 23 0:3{number} {top} /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}\n"
        for number, name in enumerate(["memory", "cpu,cpuacct", "pids"])
    )


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_a_container_of_v2_with_its_own_namespace_tells_limits_and_use(tree):
    tree.write("/proc/self/mountinfo", V2_MOUNT.format(top="/"))
    tree.v2_group("", memory_max=2 * GIB, current=1.5 * GIB // 1, inactive=GIB // 2, cpu_max="250000 100000")
    tree.write("/sys/fs/cgroup/memory.current", 3 * GIB // 2)
    source = tree.source()
    assert source.sample(None) == {
        "system/container/memory_limit_bytes": 2.0 * GIB,
        "system/container/memory_used_bytes": 1.0 * GIB,
        "system/container/memory_percent": 50.0,
        "system/container/cpu_limit_cores": 2.5,
    }
    tree.cpu_v2("", 2.5, 0.5)
    sample = source.sample(2.0)
    assert sample["system/container/cpu_percent"] == pytest.approx(50.0)
    assert sample["system/container/cpu_throttled_s_per_s"] == pytest.approx(0.25)
    assert {find(name) for name in sample} == {series for series in SERIES if series.source == "container"}
    assert source.failures == {}


def test_the_smallest_limit_among_the_ancestors_counts_with_the_use_of_its_level(tree):
    tree.write("/proc/self/mountinfo", V2_MOUNT.format(top="/"))
    tree.write("/proc/self/cgroup", "0::/user.slice/job\n")
    tree.v2_group("/user.slice/job", memory_max=8 * GIB, current=GIB, cpu_max="400000 100000")
    tree.v2_group("/user.slice", memory_max=4 * GIB, current=3 * GIB, cpu_max="100000 100000")
    tree.cpu_v2("/user.slice", 10, 0)
    source = tree.source()
    sample = source.sample(None)
    assert sample["system/container/memory_limit_bytes"] == 4 * GIB
    assert sample["system/container/memory_percent"] == 75.0
    assert sample["system/container/cpu_limit_cores"] == 1.0
    tree.cpu_v2("/user.slice", 10.5, 0)
    assert source.sample(1.0)["system/container/cpu_percent"] == pytest.approx(50.0)


def test_a_container_without_limits_tells_what_it_uses_and_no_limit(tree):
    tree.write("/proc/self/mountinfo", V2_MOUNT.format(top="/"))
    tree.v2_group("", current=GIB)
    assert tree.source().sample(None) == {"system/container/memory_used_bytes": 1.0 * GIB}


@pytest.mark.parametrize("path", ["/", "/user.slice/session-3.scope"])
def test_a_host_without_limits_is_silent(tree, path):
    tree.write("/proc/self/mountinfo", V2_MOUNT.format(top="/"))
    tree.write("/proc/self/cgroup", f"0::{path}\n")
    tree.write("/sys/fs/cgroup/cpu.stat", "usage_usec 1\n")
    tree.write("/sys/fs/cgroup/memory.stat", "inactive_file 1\n")
    if path != "/":
        tree.v2_group(path, current=GIB)
    source = tree.source()
    assert source.sample(None) == source.sample(1.0) == {}
    assert source.failures == {}


def test_a_container_of_v1_whose_path_is_the_hosts_is_found_below_its_mount(tree):
    tree.write("/proc/self/mountinfo", v1_mounts("/docker/abc"))
    tree.write("/proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n2:pids:/\n")
    tree.v1_group("", memory_limit=GIB, usage=GIB // 2, inactive=GIB // 4, quota=50000)
    source = tree.source()
    assert source.sample(None) == {
        "system/container/memory_limit_bytes": 1.0 * GIB,
        "system/container/memory_used_bytes": GIB / 4,
        "system/container/memory_percent": 25.0,
        "system/container/cpu_limit_cores": 0.5,
    }
    tree.cpu_v1("", 0.25, 0.1)
    sample = source.sample(1.0)
    assert sample["system/container/cpu_percent"] == pytest.approx(50.0)
    assert sample["system/container/cpu_throttled_s_per_s"] == pytest.approx(0.1)


def test_nested_groups_of_v1_take_the_smallest_limit_and_ignore_the_huge_number(tree):
    tree.write("/proc/self/mountinfo", v1_mounts())
    tree.write("/proc/self/cgroup", "4:memory:/jobs/one\n3:cpu,cpuacct:/jobs/one\n")
    tree.v1_group("/jobs/one")
    tree.v1_group("/jobs", memory_limit=2 * GIB, usage=GIB, quota=300000)
    tree.v1_group("")
    sample = tree.source().sample(None)
    assert sample["system/container/memory_limit_bytes"] == 2 * GIB
    assert sample["system/container/cpu_limit_cores"] == 3.0


def test_a_host_of_v1_without_limits_is_silent(tree):
    tree.write("/proc/self/mountinfo", v1_mounts())
    tree.write("/proc/self/cgroup", "4:memory:/jobs\n3:cpu,cpuacct:/\n0::/\n")
    tree.v1_group("/jobs", usage=GIB)
    tree.v1_group("", usage=GIB)
    source = tree.source()
    assert source.sample(None) == {}
    assert source.failures == {}


def test_accounting_on_another_mount_of_v1_is_found(tree):
    mounts = "".join(
        f"3{number} 23 0:3{number} / /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}\n"
        for number, name in enumerate(["cpu", "cpuacct"])
    )
    tree.write("/proc/self/mountinfo", mounts)
    tree.write("/proc/self/cgroup", "2:cpuacct:/job\n1:cpu:/job\n")
    for name, text in [("cpu.cfs_quota_us", 100000), ("cpu.cfs_period_us", 100000)]:
        tree.write(f"/sys/fs/cgroup/cpu/job/{name}", text)
    tree.write("/sys/fs/cgroup/cpu/job/cpu.stat", "throttled_time 0\n")
    tree.write("/sys/fs/cgroup/cpuacct/job/cpuacct.usage", 0)
    source = tree.source()
    source.sample(None)
    tree.write("/sys/fs/cgroup/cpuacct/job/cpuacct.usage", 750_000_000)
    assert source.sample(1.0)["system/container/cpu_percent"] == pytest.approx(75.0)


def test_in_a_hybrid_each_controller_is_read_where_it_is(tree):
    memory_v1 = "30 23 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    unified = "31 23 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    tree.write("/proc/self/mountinfo", unified + memory_v1)
    tree.write("/proc/self/cgroup", "4:memory:/job\n1:name=systemd:/job\n0::/job\n")
    tree.v1_group("/job", memory_limit=GIB, usage=GIB // 2)
    tree.write("/sys/fs/cgroup/unified/job/cpu.max", "150000 100000")
    tree.write("/sys/fs/cgroup/unified/job/cpu.stat", "usage_usec 0\nthrottled_usec 0\n")
    tree.write("/sys/fs/cgroup/unified/job/memory.max", 5)
    sample = tree.source().sample(None)
    assert sample["system/container/memory_limit_bytes"] == GIB
    assert sample["system/container/cpu_limit_cores"] == 1.5


@pytest.mark.parametrize("path", ["/../other", "/no/such/group", "/docker/abc"])
def test_a_path_of_another_namespace_leaves_the_mount_itself(tree, path):
    tree.write("/proc/self/mountinfo", V2_MOUNT.format(top="/docker/xyz" if "abc" in path else "/"))
    tree.write("/proc/self/cgroup", f"0::{path}\n")
    tree.v2_group("", memory_max=GIB)
    assert tree.source().sample(None)["system/container/memory_limit_bytes"] == GIB


def test_a_mount_point_with_a_space_is_understood(tree):
    tree.write("/proc/self/mountinfo", "30 23 0:26 / /my\\040groups rw shared:4 - cgroup2 none rw\n")
    tree.write("/my groups/memory.max", GIB)
    tree.write("/my groups/memory.current", 0)
    tree.write("/my groups/memory.stat", "inactive_file 0\n")
    assert tree.source().sample(None)["system/container/memory_limit_bytes"] == GIB


def test_one_controller_that_cannot_be_read_leaves_the_other(tree):
    tree.write("/proc/self/mountinfo", V2_MOUNT.format(top="/"))
    tree.v2_group("", memory_max="nonsense", cpu_max="100000 100000")
    source = tree.source()
    assert source.sample(None) == {"system/container/cpu_limit_cores": 1.0}
    assert list(source.failures) == ["container/memory"]
    tree.write("/sys/fs/cgroup/memory.max", GIB)
    assert "system/container/memory_limit_bytes" in source.sample(1.0)


@pytest.mark.parametrize("missing", ["cgroup", "mountinfo"])
def test_without_the_files_of_proc_it_is_silent_counted_and_tried_again(tree, missing):
    tree.write("/proc/self/mountinfo", V2_MOUNT.format(top="/"))
    tree.v2_group("", memory_max=GIB)
    file = tree.root / "proc/self" / missing
    text = file.read_text()
    file.unlink()
    source = tree.source()
    assert source.sample(None) == source.sample(1.0) == {}
    assert source.failures["container/groups"].count == 2
    file.write_text(text)
    assert source.sample(1.0) != {}


def test_a_process_that_is_moved_is_followed_within_a_minute(tree):
    tree.write("/proc/self/mountinfo", V2_MOUNT.format(top="/"))
    tree.v2_group("/a", memory_max=GIB)
    tree.v2_group("/b", memory_max=2 * GIB)
    tree.write("/proc/self/cgroup", "0::/a\n")
    source = tree.source()
    source.sample(None)
    tree.write("/proc/self/cgroup", "0::/b\n")
    assert source.sample(59.0)["system/container/memory_limit_bytes"] == GIB
    assert source.sample(1.0)["system/container/memory_limit_bytes"] == 2 * GIB


@pytest.mark.skipif(not Path("/proc/self/cgroup").exists(), reason="Linux only")
def test_the_real_groups_of_this_process_are_read_without_a_failure():
    source = Container()
    source.sample(None)
    assert source.failures == {}
