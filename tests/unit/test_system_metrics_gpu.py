"""NVIDIA GPUs, through a double of the module pynvml: no machine of the tests has one."""

import logging
import os
from types import SimpleNamespace

import pytest

from mlfoundry.system_metrics.catalogue import SERIES, find
from mlfoundry.system_metrics.gpu import Gpu, load_nvml


class NVMLError(Exception):
    def __init__(self, value):
        super().__init__(f"NVML error {value}")
        self.value = value


class FakeNvml:
    """Two GPUs. ``broken`` maps (function, GPU or None for all) to the error that it raises."""

    NVMLError = NVMLError
    NVML_ERROR_NOT_SUPPORTED = 3
    NVML_TEMPERATURE_GPU = 0
    NVML_CLOCK_SM = 1
    nvmlMemory_v2 = 33554472

    def __init__(self, count=2):
        self.count = count
        self.broken = {}
        self.running = {0: [(11, 300), (12, 500), (99, 7000)], 1: [(99, 1)]}
        self.calls = []

    def _call(self, function, gpu=None):
        self.calls.append(function)
        for key in ((function, gpu), (function, None), ("all", gpu), ("all", None)):
            if key in self.broken:
                error = self.broken[key]
                if error is None:
                    return False
                raise error
        return True

    def nvmlInit(self):
        self._call("nvmlInit")

    def nvmlShutdown(self):
        self._call("nvmlShutdown")

    def nvmlDeviceGetCount(self):
        return self.count if self._call("nvmlDeviceGetCount") else None

    def nvmlDeviceGetHandleByIndex(self, index):
        self._call("nvmlDeviceGetHandleByIndex", index)
        return index

    def nvmlDeviceGetUtilizationRates(self, gpu):
        return SimpleNamespace(gpu=90 + gpu, memory=40) if self._call("nvmlDeviceGetUtilizationRates", gpu) else None

    def nvmlDeviceGetMemoryInfo(self, gpu, version=None):
        if not self._call("nvmlDeviceGetMemoryInfo", gpu):
            return None
        return SimpleNamespace(used=2000 if version else 2500, total=8000)

    def nvmlDeviceGetTemperature(self, gpu, sensor):
        return 61 if self._call("nvmlDeviceGetTemperature", gpu) else None

    def nvmlDeviceGetPowerUsage(self, gpu):
        return 250500 if self._call("nvmlDeviceGetPowerUsage", gpu) else None

    def nvmlDeviceGetClockInfo(self, gpu, kind):
        return 1980 if self._call("nvmlDeviceGetClockInfo", gpu) else None

    def nvmlDeviceGetComputeRunningProcesses(self, gpu):
        if not self._call("nvmlDeviceGetComputeRunningProcesses", gpu):
            return None
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in self.running[gpu]]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def nvml():
    return FakeNvml()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def gpu(nvml, clock):
    return Gpu(lambda: {11, 12}, load=lambda: nvml, clock=clock)


READING_SERIES = {
    "nvmlDeviceGetUtilizationRates": {"utilization_percent", "memory_utilization_percent"},
    "nvmlDeviceGetMemoryInfo": {"memory_used_bytes", "memory_total_bytes", "memory_percent"},
    "nvmlDeviceGetTemperature": {"temperature_celsius"},
    "nvmlDeviceGetPowerUsage": {"power_watts"},
    "nvmlDeviceGetClockInfo": {"sm_clock_mhz"},
    "nvmlDeviceGetComputeRunningProcesses": {"process_memory_bytes"},
}


def test_every_gpu_that_is_visible_is_read(gpu):
    sample = gpu.sample(None)
    assert {name: value for name, value in sample.items() if name.startswith("system/gpu/0/")} == {
        "system/gpu/0/utilization_percent": 90.0,
        "system/gpu/0/memory_utilization_percent": 40.0,
        "system/gpu/0/memory_used_bytes": 2000.0,
        "system/gpu/0/memory_total_bytes": 8000.0,
        "system/gpu/0/memory_percent": 25.0,
        "system/gpu/0/temperature_celsius": 61.0,
        "system/gpu/0/power_watts": 250.5,
        "system/gpu/0/sm_clock_mhz": 1980.0,
        "system/gpu/0/process_memory_bytes": 800.0,
    }
    assert sample["system/gpu/1/utilization_percent"] == 91.0
    assert gpu.failures == {}


def test_the_names_are_those_of_the_catalogue_all_of_them(gpu):
    found = {find(name) for name in gpu.sample(None)}
    assert found == {series for series in SERIES if series.source == "gpu"}


def test_memory_of_the_run_is_absent_where_no_process_of_it_is_known(gpu):
    assert "system/gpu/1/process_memory_bytes" not in gpu.sample(None)


def test_memory_that_windows_does_not_tell_is_absent_and_no_zero(gpu, nvml):
    nvml.running[0] = [(11, None)]
    assert "system/gpu/0/process_memory_bytes" not in gpu.sample(None)


@pytest.mark.parametrize("function", READING_SERIES)
@pytest.mark.parametrize(
    "error",
    [NVMLError(999), NVMLError(3), OSError("no"), RuntimeError("no"), ValueError("no"), None],
    ids=lambda error: repr(error),
)
def test_a_call_that_fails_silences_its_own_series_on_its_own_gpu(gpu, nvml, function, error):
    whole = gpu.sample(None)
    nvml.broken[function, 0] = error
    partial = gpu.sample(1.0)
    missing = {f"system/gpu/0/{name}" for name in READING_SERIES[function]}
    assert partial == {name: value for name, value in whole.items() if name not in missing}
    assert sum(failure.count for failure in gpu.failures.values()) >= 1
    del nvml.broken[function, 0]
    assert (gpu.sample(1.0) == whole) == (getattr(error, "value", None) != 3 or "Processes" in function)


def test_what_a_gpu_does_not_support_is_asked_once(gpu, nvml):
    nvml.broken["nvmlDeviceGetUtilizationRates", None] = NVMLError(3)
    for _ in range(5):
        assert "system/gpu/0/power_watts" in gpu.sample(1.0)
    assert nvml.calls.count("nvmlDeviceGetUtilizationRates") == 2
    assert gpu.failures["system/gpu/0/utilization"].count == 1


def test_an_older_driver_without_the_second_memory_call_gives_the_first(gpu, nvml):
    first_version = nvml.nvmlDeviceGetMemoryInfo

    def only_first(handle, version=None):
        if version:
            raise NVMLError(13)
        return first_version(handle)

    nvml.nvmlDeviceGetMemoryInfo = only_first
    assert gpu.sample(None)["system/gpu/0/memory_used_bytes"] == 2500.0


def test_a_driver_that_vanishes_is_looked_for_once_a_minute_and_found_again(gpu, nvml, clock, caplog):
    whole = gpu.sample(None)
    nvml.broken["all", None] = NVMLError(999)
    with caplog.at_level(logging.WARNING):
        for _ in range(59):
            clock.now += 1
            assert gpu.sample(1.0) == {}
    assert nvml.calls.count("nvmlInit") == 1
    assert len(caplog.records) == 1
    nvml.broken.clear()
    clock.now += 1
    assert gpu.sample(1.0) == {}, "59 s after it was missed"
    clock.now += 1
    assert gpu.sample(1.0) == whole
    assert nvml.calls.count("nvmlInit") == 2


def test_a_gpu_that_is_lost_leaves_the_other_and_is_tried_again_after_a_minute(gpu, nvml, clock):
    whole = gpu.sample(None)
    nvml.broken["all", 0] = NVMLError(15)
    other = {name: value for name, value in whole.items() if "gpu/1" in name}
    assert gpu.sample(1.0) == other
    calls = len(nvml.calls)
    assert gpu.sample(1.0) == other
    assert len(nvml.calls) - calls == 6, "the lost one is not asked every second"
    nvml.broken.clear()
    clock.now += 60
    assert gpu.sample(60.0) == whole


@pytest.mark.parametrize("step", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex"])
def test_a_driver_that_does_not_open_is_tried_again_after_a_minute(gpu, nvml, clock, step):
    nvml.broken[step, None] = NVMLError(9)
    assert gpu.sample(None) == {}
    calls = len(nvml.calls)
    assert gpu.sample(1.0) == {}
    assert len(nvml.calls) == calls
    nvml.broken.clear()
    clock.now += 60
    assert gpu.sample(1.0) != {}


def test_a_driver_that_answers_is_opened_once(gpu, nvml, clock):
    for _ in range(200):
        assert gpu.sample(1.0) != {}
        clock.now += 1
    assert nvml.calls.count("nvmlInit") == 1


def test_no_driver_is_silence_and_no_failure(clock):
    looks = []
    gpu = Gpu(load=lambda: looks.append(clock.now), clock=clock)
    for _ in range(120):
        assert gpu.sample(1.0) == {}
        clock.now += 1
    assert looks == [0.0, 60.0]
    assert gpu.failures == {}


def test_a_driver_without_the_python_package_is_a_failure_that_names_it(clock):
    def load():
        raise ImportError("No module named 'pynvml'")

    gpu = Gpu(load=load, clock=clock)
    assert gpu.sample(None) == {}
    assert "pynvml" in gpu.failures["gpu/driver"].last_error


def test_a_forked_child_opens_nvml_for_itself_and_leaves_its_parents_alone(gpu, nvml, monkeypatch):
    whole = gpu.sample(None)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    gpu.close()
    assert gpu.sample(1.0) == whole
    assert nvml.calls.count("nvmlInit") == 2
    assert "nvmlShutdown" not in nvml.calls
    gpu.close()
    gpu.close()
    assert nvml.calls.count("nvmlShutdown") == 1


def test_a_shutdown_that_fails_is_counted(gpu, nvml):
    gpu.sample(None)
    nvml.broken["nvmlShutdown", None] = NVMLError(1)
    gpu.close()
    assert gpu.failures["gpu/shutdown"].count == 1


def test_the_real_module_has_every_name_that_is_used():
    pynvml = pytest.importorskip("pynvml")
    used = [name for name in dir(FakeNvml) if name.startswith(("nvml", "NVML"))]
    assert [name for name in used if not hasattr(pynvml, name)] == []
    assert pynvml.NVML_ERROR_NOT_SUPPORTED == FakeNvml.NVML_ERROR_NOT_SUPPORTED


def test_this_machine_loads_nvml_or_says_that_there_is_none():
    assert getattr(load_nvml(), "__name__", "pynvml") == "pynvml"
