"""Every system metric in one table: its name, unit, chart and meaning.

Owns the names. The table in the documentation, the charts of the panels and the tests are made from it; the
sources must give no name that is not here, and a test holds them to that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlfoundry.errors import InvalidInput

PERCENT_AXIS = (0.0, 100.0)


@dataclass(frozen=True, slots=True)
class Series:
    """One kind of system metric.

    Attributes:
        pattern: Its name; ``{core}`` and ``{gpu}`` stand for numbers from 0.
        unit: How the value is to be read: ``%``, ``B``, ``B/s``, ``°C``, ``W``, ``MHz``, ``cores``, ``s/s``,
            or empty for a plain number.
        group: The title of the chart that it is drawn in.
        source: The source that gives it: host, process, container or gpu.
        description: One line.
        axis: The fixed range of the value axis; None lets the data decide.
        needs: What a machine must have to give it; empty for every machine.
    """

    pattern: str
    unit: str
    group: str
    source: str
    description: str
    axis: tuple[float, float] | None = None
    needs: str = ""

    def matches(self, name: str) -> bool:
        """Tell whether a metric of this name is of this kind."""
        return re.fullmatch(re.sub(r"\\\{\w+\\\}", r"\\d+", re.escape(self.pattern)), name) is not None


_SWAP = "swap space"
_LIMIT_MEMORY = "Linux, a memory limit"
_LIMIT_CPU = "Linux, a CPU limit"
_NVIDIA = "an NVIDIA GPU"


def _host(
    name: str,
    unit: str,
    group: str,
    description: str,
    axis: tuple[float, float] | None = None,
    needs: str = "",
) -> Series:
    return Series(f"system/{name}", unit, group, "host", description, axis, needs)


def _process(name: str, unit: str, group: str, description: str) -> Series:
    return Series(f"system/process/{name}", unit, group, "process", description)


def _container(
    name: str,
    unit: str,
    group: str,
    description: str,
    needs: str,
    axis: tuple[float, float] | None = None,
) -> Series:
    return Series(f"system/container/{name}", unit, group, "container", description, axis, needs)


def _gpu(name: str, unit: str, group: str, description: str, axis: tuple[float, float] | None = None) -> Series:
    return Series(f"system/gpu/{{gpu}}/{name}", unit, group, "gpu", description, axis, _NVIDIA)


SERIES: tuple[Series, ...] = (
    _host("cpu/percent", "%", "CPU", "Time that all cores of the machine were busy.", PERCENT_AXIS),
    _host(
        "cpu/core/{core}/percent",
        "%",
        "CPU cores",
        "Time that one core was busy; on machines with at most 64 cores.",
        PERCENT_AXIS,
    ),
    _host("cpu/load_1min", "", "Load", "Mean number of tasks that ran or waited in the last minute."),
    _host("memory/percent", "%", "Memory", "Share of the machine's memory in use.", PERCENT_AXIS),
    _host("memory/used_bytes", "B", "Memory size", "Memory of the machine in use: total less available."),
    _host("memory/available_bytes", "B", "Memory size", "Memory that programs can get without swapping."),
    _host("memory/total_bytes", "B", "Memory size", "Memory of the machine."),
    _host("swap/percent", "%", "Swap", "Share of the swap space in use.", PERCENT_AXIS, _SWAP),
    _host("swap/used_bytes", "B", "Swap size", "Swap space in use.", None, _SWAP),
    _host("disk/percent", "%", "Disk space", "Fullness of the working directory's file system.", PERCENT_AXIS),
    _host("disk/used_bytes", "B", "Disk space used", "Bytes in use on the working directory's file system."),
    _host("disk/read_bytes_per_s", "B/s", "Disk", "Bytes read from all disks of the machine."),
    _host("disk/written_bytes_per_s", "B/s", "Disk", "Bytes written to all disks of the machine."),
    _host("network/received_bytes_per_s", "B/s", "Network", "Bytes received, loopback left out."),
    _host("network/sent_bytes_per_s", "B/s", "Network", "Bytes sent, loopback left out."),
    _process("cpu_percent", "%", "Process CPU", "CPU of the run and its child processes; 100 is one core."),
    _process(
        "memory_rss_bytes",
        "B",
        "Process memory",
        "Resident memory of the run and its child processes; pages that they share count in each.",
    ),
    _process("main_memory_rss_bytes", "B", "Process memory", "Resident memory of the run's own process."),
    _process("threads", "", "Processes and threads", "Threads of the run and its child processes."),
    _process("count", "", "Processes and threads", "Processes of the run: its own and its children."),
    _process("open_files", "", "Open files", "Open files of the run and its child processes."),
    _container(
        "memory_percent",
        "%",
        "Container memory",
        "Working set as a share of the limit; at 100 the kernel kills.",
        _LIMIT_MEMORY,
        PERCENT_AXIS,
    ),
    _container(
        "memory_used_bytes",
        "B",
        "Container memory size",
        "Working set of the control group: without file pages that can be dropped.",
        "Linux, a container or a memory limit",
    ),
    _container(
        "memory_limit_bytes",
        "B",
        "Container memory size",
        "Smallest memory limit of the control group and its ancestors.",
        _LIMIT_MEMORY,
    ),
    _container("cpu_percent", "%", "Container CPU", "CPU used as a share of the limit.", _LIMIT_CPU, PERCENT_AXIS),
    _container(
        "cpu_limit_cores",
        "cores",
        "Container CPU limit",
        "Smallest CPU limit of the control group and its ancestors.",
        _LIMIT_CPU,
    ),
    _container(
        "cpu_throttled_s_per_s",
        "s/s",
        "Container CPU throttling",
        "Seconds that threads were held back by the limit, per second.",
        _LIMIT_CPU,
    ),
    _gpu("utilization_percent", "%", "GPU", "Time that at least one kernel ran.", PERCENT_AXIS),
    _gpu("memory_percent", "%", "GPU memory", "Share of the GPU's memory in use.", PERCENT_AXIS),
    _gpu("memory_used_bytes", "B", "GPU memory size", "Memory of the GPU in use, by anybody."),
    _gpu("memory_total_bytes", "B", "GPU memory size", "Memory of the GPU."),
    _gpu("process_memory_bytes", "B", "GPU memory size", "GPU memory that the run and its children hold."),
    _gpu(
        "memory_utilization_percent",
        "%",
        "GPU memory traffic",
        "Time that GPU memory was read or written.",
        PERCENT_AXIS,
    ),
    _gpu("temperature_celsius", "°C", "GPU temperature", "Temperature of the GPU."),
    _gpu("power_watts", "W", "GPU power", "Power that the GPU draws."),
    _gpu("sm_clock_mhz", "MHz", "GPU clock", "Clock of the streaming multiprocessors."),
)


def find(name: str) -> Series | None:
    """Find what a metric is by its name; None when it is no system metric."""
    return next((series for series in SERIES if series.matches(name)), None)


def describe(name: str) -> Series:
    """Say what a system metric is.

    Args:
        name: A name as it is recorded, such as ``system/gpu/0/power_watts``.

    Returns:
        Its entry in the catalogue.

    Raises:
        InvalidInput: No system metric has this name.

    Example:
        >>> describe("system/gpu/0/power_watts").unit
        'W'
    """
    series = find(name)
    if series is None:
        raise InvalidInput(f"{name!r} is not a system metric; mlfoundry.system_metrics.catalogue.SERIES lists them all")
    return series
