"""The whole machine: for real, from fake /proc trees, and through a psutil that fails."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from mlfoundry.system_metrics.catalogue import SERIES, find
from mlfoundry.system_metrics.host import Host
from mlfoundry.system_metrics.linux import LinuxMachine
from mlfoundry.system_metrics.portable import PsutilMachine
from mlfoundry.system_metrics.procfs import read
from mlfoundry.system_metrics.source import Failure
from mlfoundry.system_metrics.sources import find_sources

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

FAKE_PROC = {
    "proc/stat": "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 50 0 50 350 50 0 0 0 50 0\n"
    "cpu1 50 0 50 350 50 0 0 0\nintr 1 2 3\n",
    "proc/loadavg": "1.50 0.70 0.20 2/300 4242\n",
    "proc/meminfo": "MemTotal: 8000 kB\nMemFree: 100 kB\nMemAvailable: 2000 kB\n"
    "SwapTotal: 1000 kB\nSwapFree: 750 kB\nHugePages_Total: 0\n",
    "proc/diskstats": "259 0 nvme0n1 1 0 1000 0 1 0 2000 0 0 0 0\n259 1 nvme0n1p1 1 0 900 0 1 0 900 0 0 0 0\n"
    "253 0 dm-0 1 0 900 0 1 0 900 0 0 0 0\n7 0 loop0 1 0 7 0 1 0 7 0 0 0 0\n104 0 cciss/c0d0 1 0 10 0 1 0 10 0 0 0\n",
    "proc/net/dev": "Inter-| Receive | Transmit\n face |bytes packets|bytes\n"
    "    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n  eth0:1000 1 0 0 0 0 0 0 500 1 0 0 0 0 0 0\n"
    "docker0: 1000 1 0 0 0 0 0 0 500 1 0 0 0 0 0 0\n",
}


@pytest.fixture
def fake(tmp_path):
    for path, text in FAKE_PROC.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for path in ["nvme0n1", "dm-0", "loop0", "cciss!c0d0"]:
        (tmp_path / "sys/block" / path).mkdir(parents=True)
    (tmp_path / "sys/class/net/eth0/device").mkdir(parents=True)
    return tmp_path


def host_of(fake, **options):
    return Host(LinuxMachine(proc=f"{fake}/proc", sys=f"{fake}/sys"), path=str(fake), **options)


def change(fake, path, *replacements):
    text = (fake / path).read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    (fake / path).write_text(text)


def test_what_a_machine_uses_now_is_told_from_the_first_sample(fake):
    sample = host_of(fake).sample(None)
    assert sample.pop("system/disk/percent") > 0
    assert sample.pop("system/disk/used_bytes") > 0
    assert sample == {
        "system/cpu/load_1min": 1.5,
        "system/memory/total_bytes": 8192000.0,
        "system/memory/available_bytes": 2048000.0,
        "system/memory/used_bytes": 6144000.0,
        "system/memory/percent": 75.0,
        "system/swap/used_bytes": 256000.0,
        "system/swap/percent": 25.0,
    }


def test_rates_and_busy_time_are_told_from_the_second_sample(fake):
    host = host_of(fake)
    first = host.sample(None)
    change(fake, "proc/stat", ("cpu  100 0 100 700", "cpu  130 0 110 860"))
    change(fake, "proc/stat", ("cpu0 50 0 50 350", "cpu0 80 0 60 410"), ("cpu1 50 0 50 350", "cpu1 50 0 50 450"))
    change(fake, "proc/diskstats", ("nvme0n1 1 0 1000 0 1 0 2000", "nvme0n1 1 0 1010 0 1 0 2040"))
    change(fake, "proc/diskstats", ("dm-0 1 0 900", "dm-0 1 0 99999"), ("p1 1 0 900", "p1 1 0 99999"))
    change(fake, "proc/net/dev", ("eth0:1000 1 0 0 0 0 0 0 500", "eth0:3000 1 0 0 0 0 0 0 900"))
    second = host.sample(2.0)
    assert {name: value for name, value in second.items() if name not in first} == {
        "system/cpu/percent": 20.0,
        "system/cpu/core/0/percent": 40.0,
        "system/cpu/core/1/percent": 0.0,
        "system/disk/read_bytes_per_s": 2560.0,
        "system/disk/written_bytes_per_s": 10240.0,
        "system/network/received_bytes_per_s": 1000.0,
        "system/network/sent_bytes_per_s": 200.0,
    }
    assert {find(name) for name in second} == {series for series in SERIES if series.source == "host"}
    assert host.failures == {}


def test_all_interfaces_but_loopback_count_where_none_is_hardware(fake):
    (fake / "sys/class/net/eth0/device").rmdir()
    machine = LinuxMachine(proc=f"{fake}/proc", sys=f"{fake}/sys")
    assert machine.network_bytes() == {"eth0": (500, 1000), "docker0": (500, 1000)}


def test_whole_disks_count_and_their_partitions_and_layers_do_not(fake):
    machine = LinuxMachine(proc=f"{fake}/proc", sys=f"{fake}/sys")
    assert machine.disk_bytes() == {"nvme0n1": (512000, 1024000), "cciss/c0d0": (5120, 5120)}


def test_a_core_that_comes_and_goes_spoils_no_percentage(fake):
    host = host_of(fake)
    host.sample(None)
    change(fake, "proc/stat", ("cpu1 50 0 50 350 50 0 0 0\n", ""), ("cpu  100 0 100 700", "cpu  200 0 100 800"))
    sample = host.sample(1.0)
    assert sample["system/cpu/percent"] == 50.0
    assert not any(name.startswith("system/cpu/core") for name in sample), "one is gone, one stood still"
    change(fake, "proc/stat", ("intr", "cpu1 5 0 5 35 50 0 0 0\nintr"))
    assert "system/cpu/core/1/percent" not in host.sample(1.0)


def test_a_machine_with_very_many_cores_gives_the_total_alone(fake):
    host = host_of(fake, max_cores=1)
    host.sample(None)
    change(fake, "proc/stat", (" 350 ", " 450 "), (" 700 ", " 900 "))
    sample = host.sample(1.0)
    assert sample["system/cpu/percent"] == 0.0
    assert "system/cpu/core/0/percent" not in sample


def test_a_machine_without_swap_has_no_swap_series(fake):
    change(fake, "proc/meminfo", ("SwapTotal: 1000", "SwapTotal: 0"), ("SwapFree: 750", "SwapFree: 0"))
    host = host_of(fake)
    assert not any("swap" in name for name in host.sample(None))
    assert host.failures == {}


BROKEN = {
    "proc/stat": ("cpu", "system/cpu/percent"),
    "proc/loadavg": ("load", "system/cpu/load_1min"),
    "proc/meminfo": ("memory", "system/memory/percent"),
    "proc/diskstats": ("disk", "system/disk/read_bytes_per_s"),
    "proc/net/dev": ("network", "system/network/sent_bytes_per_s"),
    "sys/block": ("disk", "system/disk/read_bytes_per_s"),
}


@pytest.mark.parametrize("damage", ["missing", "nonsense"])
@pytest.mark.parametrize("path", BROKEN)
def test_a_file_that_cannot_be_read_silences_its_own_series(fake, path, damage):
    host = host_of(fake)
    (fake / path).rename(fake / "away")
    if damage == "nonsense":
        (fake / path).write_text("cpu x\nMemTotal: 1\n what : is this\n")
    reading, series = BROKEN[path]
    host.sample(None)
    change(fake, "away" if path == "proc/stat" else "proc/stat", ("cpu  100", "cpu  200"))
    sample = host.sample(1.0)
    assert series not in sample
    assert host.failures[f"host/{reading}"].count == 2
    others = {other for kind, other in BROKEN.values() if kind != reading}
    assert others <= sample.keys()
    (fake / path).unlink(missing_ok=True)
    (fake / "away").rename(fake / path)
    host.sample(1.0)
    change(fake, "proc/stat", ("cpu  ", "cpu  9"))
    assert series in host.sample(1.0), "tried again"


def test_a_folder_that_is_gone_silences_the_disk_space_alone(fake):
    host = Host(LinuxMachine(proc=f"{fake}/proc", sys=f"{fake}/sys"), path=str(fake / "gone"))
    sample = host.sample(None)
    assert "system/memory/percent" in sample
    assert not any(name.startswith("system/disk") for name in sample)


@linux
def test_psutil_and_proc_tell_the_same_of_this_machine():
    direct, portable = Host(LinuxMachine()).sample(None), Host(PsutilMachine(psutil)).sample(None)
    assert direct.keys() == portable.keys()
    for name, value in direct.items():
        assert portable[name] == pytest.approx(value, rel=0.05, abs=1 << 24 if "bytes" in name else 1.0)


@linux
def test_large_files_of_the_kernel_are_read_whole():
    assert read("/proc/kallsyms").count(b"\n") == Path("/proc/kallsyms").read_bytes().count(b"\n")


PSUTIL_FUNCTIONS = {
    "cpu_times": {"system/cpu/percent"},
    "getloadavg": {"system/cpu/load_1min"},
    "virtual_memory": {
        "system/memory/percent",
        "system/memory/used_bytes",
        "system/memory/total_bytes",
        "system/memory/available_bytes",
    },
    "swap_memory": {"system/swap/used_bytes", "system/swap/percent"},
    "disk_usage": {"system/disk/used_bytes", "system/disk/percent"},
    "disk_io_counters": {"system/disk/read_bytes_per_s", "system/disk/written_bytes_per_s"},
    "net_io_counters": {"system/network/sent_bytes_per_s", "system/network/received_bytes_per_s"},
}
FAILURES = [
    psutil.AccessDenied(1),
    psutil.NoSuchProcess(1),
    psutil.ZombieProcess(1),
    OSError("no"),
    RuntimeError("no"),
    ValueError("no"),
    NotImplementedError("no"),
    None,
]


def fake_psutil(broken=None, failure=None):
    """A psutil whose clock moves by one second at each call, and one function of which may fail."""
    ticks = iter(range(1, 1000))

    def cpu_times(percpu):
        return [psutil._ntuples.scputimes(10.0 * next(ticks), *[0.0] * 9)] * 2

    def disks(perdisk, nowrap):
        return {"sda": SimpleNamespace(read_bytes=next(ticks), write_bytes=next(ticks))}

    def cards(pernic, nowrap):
        card = SimpleNamespace(bytes_sent=next(ticks), bytes_recv=next(ticks))
        return {"en0": card, "lo0": card, "Loopback Pseudo-Interface 1": card}

    functions = {
        "cpu_times": cpu_times,
        "getloadavg": lambda: (1.0, 2.0, 3.0),
        "virtual_memory": lambda: SimpleNamespace(total=100, available=25),
        "swap_memory": lambda: SimpleNamespace(total=10, used=1),
        "disk_usage": lambda path: SimpleNamespace(used=1, free=3),
        "disk_io_counters": disks,
        "net_io_counters": cards,
    }

    def fail(*args, **kwargs):
        if failure is None:
            return None
        raise failure

    return SimpleNamespace(**{name: fail if name == broken else call for name, call in functions.items()})


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
@pytest.mark.parametrize("function", PSUTIL_FUNCTIONS)
def test_a_function_of_psutil_that_fails_silences_its_own_series(function, failure):
    whole, partial = Host(PsutilMachine(fake_psutil())), Host(PsutilMachine(fake_psutil(function, failure)))
    whole.sample(None)
    partial.sample(None)
    expected = {name for name in whole.sample(1.0) if not name.startswith("system/cpu/core")}
    found = partial.sample(1.0)
    assert expected - found.keys() == PSUTIL_FUNCTIONS[function]
    assert [f.count for f in partial.failures.values()] == [2]


def test_loopback_is_left_out_whatever_the_system_calls_it():
    assert PsutilMachine(fake_psutil()).network_bytes().keys() == {"en0"}


def test_systems_without_proc_are_read_through_psutil():
    failures: dict[str, Failure] = {}
    sources = find_sources(os.getpid(), failures, has_proc=False)
    assert [source.name for source in sources] == ["host", "process", "gpu"]
    for elapsed in (None, 1.0):
        samples = [source.sample(elapsed) for source in sources[:2]]
    assert "system/memory/percent" in samples[0]
    assert samples[1]["system/process/memory_rss_bytes"] > 0
    assert failures == {}


def test_a_missing_psutil_leaves_the_other_sources(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    failures: dict[str, Failure] = {}
    assert [source.name for source in find_sources(1, failures, has_proc=False)] == ["gpu"]
    assert set(failures) == {"host", "process"}
