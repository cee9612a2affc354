"""NVIDIA GPUs, through NVML.

Owns the calls to the module ``pynvml`` (package nvidia-ml-py) and what happens when a driver is absent, goes
away or comes back. A GPU's number is NVML's index, the one that nvidia-smi shows: every GPU that the process
may see, whatever CUDA_VISIBLE_DEVICES selects. A reading that a GPU does not support (utilisation under MIG,
power on some) is silence for that series alone.
Other makers' GPUs are not read. On Windows, and with a GPU in MIG mode, it is not tested.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from mlfoundry import forks
from mlfoundry.system_metrics.source import Counted, Reading, Source, log

PROBE_EVERY_S = 60.0


def load_nvml() -> Any:
    """Import ``pynvml``, if there is an NVIDIA driver for it to talk to.

    Returns:
        The module, None when no driver is installed.

    Raises:
        ImportError: nvidia-ml-py is not installed.
    """
    # The module takes 40 ms to import: not where it has nothing to talk to.
    if sys.platform == "darwin":
        return None
    if sys.platform == "linux":
        try:
            importlib.import_module("ctypes").CDLL("libnvidia-ml.so.1")
        except OSError:  # no driver is installed
            return None
    with forks.held_up():
        return importlib.import_module("pynvml")


class Device:
    """One GPU, and what is known to fail on it."""

    def __init__(self, index: int, handle: Any) -> None:
        self.prefix = f"system/gpu/{index}"
        self.handle = handle
        self.unsupported: set[str] = set()
        self.lost = False


class Gpu(Source):
    """Series of every visible NVIDIA GPU.

    NVML is opened at the first sample, in the process that samples: after a fork the child opens its own.
    Where there is no driver, or it went away, looking again costs one call a minute.

    Args:
        pids: Gives the process ids of the run; the memory that they hold is a series of its own. In a
            container NVML may report ids of the host: then none matches, and that series is absent.
        load: Gives the module ``pynvml``, None when there is no driver.
        clock: Seconds that only grow, for the minute between two looks.
    """

    name = "gpu"

    def __init__(
        self,
        pids: Callable[[], Collection[int]] = frozenset,
        *,
        load: Callable[[], Any] = load_nvml,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._pids = pids
        self._load = load
        self._clock = clock
        self._nvml: Any = None
        self._opened_by = 0
        self._devices: list[Device] = []
        self._probe_at_s: float | None = None

    def readings(self) -> Iterable[tuple[str, Reading]]:
        """List the readings of one sample; none without a driver."""
        if self._nvml is not None and self._opened_by != os.getpid():
            # A parent's NVML: not ours to shut down.
            self._nvml, self._devices, self._probe_at_s = None, [], None
        if self._probe_at_s is None or self._clock() >= self._probe_at_s:
            yield "driver", self._probe
        for device in self._devices:
            if not device.lost:
                yield device.prefix, self._reader(device)
        if self._devices and all(device.lost for device in self._devices):
            log.warning("the NVIDIA driver stopped answering; GPU metrics pause, next try in 60 s")
            self._shut_down()

    def close(self) -> None:
        """Give NVML back."""
        if self._opened_by == os.getpid():
            self._shut_down()

    def _probe(self) -> dict[str, float]:
        self._probe_at_s = self._clock() + PROBE_EVERY_S
        self._shut_down()
        nvml = self._load()
        if nvml is None:
            return {}
        nvml.nvmlInit()
        self._nvml, self._opened_by = nvml, os.getpid()
        count = nvml.nvmlDeviceGetCount()
        for index in range(count):
            with Counted(self.failures, f"system/gpu/{index}"):
                self._devices.append(Device(index, nvml.nvmlDeviceGetHandleByIndex(index)))
        if 0 < count == len(self._devices):
            # With every GPU answering there is nothing to look for, until one is lost.
            self._probe_at_s = math.inf
        return {}

    def _shut_down(self) -> None:
        nvml, self._nvml, self._devices = self._nvml, None, []
        if nvml is not None:
            with Counted(self.failures, "gpu/shutdown"):
                nvml.nvmlShutdown()

    def _reader(self, device: Device) -> Reading:
        return lambda: self._read_device(device)

    def _read_device(self, device: Device) -> Mapping[str, float]:
        found: dict[str, float] = {}
        answered = False
        for reading, read in _READINGS.items():
            if reading in device.unsupported:
                continue
            with Counted(self.failures, f"{device.prefix}/{reading}") as attempt:
                values = read(self._nvml, device.handle)
                found.update({f"{device.prefix}/{name}": value for name, value in values.items()})
            if self._is_unsupported(attempt.error):
                device.unsupported.add(reading)
            answered = answered or attempt.error is None or reading in device.unsupported
        found.update(self._read_processes(device))
        if not answered and len(device.unsupported) < len(_READINGS):
            device.lost = True
            self._probe_at_s = self._clock() + PROBE_EVERY_S
        return found

    def _read_processes(self, device: Device) -> dict[str, float]:
        series = f"{device.prefix}/process_memory_bytes"
        ours = self._pids()
        if not ours:
            return {}
        held: list[int] = []
        with Counted(self.failures, series):
            running = self._nvml.nvmlDeviceGetComputeRunningProcesses(device.handle)
            sizes = [process.usedGpuMemory for process in running if process.pid in ours]
            held = [size for size in sizes if size is not None]
        return {series: sum(held)} if held else {}

    def _is_unsupported(self, error: Exception | None) -> bool:
        return isinstance(error, self._nvml.NVMLError) and error.value == self._nvml.NVML_ERROR_NOT_SUPPORTED


def _utilization(nvml: Any, handle: Any) -> dict[str, float]:
    rates = nvml.nvmlDeviceGetUtilizationRates(handle)
    return {"utilization_percent": rates.gpu, "memory_utilization_percent": rates.memory}


def _memory(nvml: Any, handle: Any) -> dict[str, float]:
    try:
        # The second version leaves out what the driver keeps for itself, as nvidia-smi does.
        memory = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    except nvml.NVMLError:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "memory_used_bytes": memory.used,
        "memory_total_bytes": memory.total,
        "memory_percent": 100.0 * memory.used / memory.total,
    }


def _temperature(nvml: Any, handle: Any) -> dict[str, float]:
    return {"temperature_celsius": nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)}


def _power(nvml: Any, handle: Any) -> dict[str, float]:
    return {"power_watts": nvml.nvmlDeviceGetPowerUsage(handle) / 1000.0}


def _clock(nvml: Any, handle: Any) -> dict[str, float]:
    return {"sm_clock_mhz": nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)}


_READINGS: dict[str, Callable[[Any, Any], dict[str, float]]] = {
    "utilization": _utilization,
    "memory": _memory,
    "temperature": _temperature,
    "power": _power,
    "sm_clock": _clock,
}
