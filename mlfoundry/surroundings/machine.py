"""Python, the platform and the hardware, as this process sees them."""

from __future__ import annotations

import os
import sys
import threading
from functools import lru_cache
from pathlib import Path

from .facts import Facts, found, or_nothing
from .programs import output

_GPU_S = 1.0


# lru_cache holds no lock while it computes, so a fork in the middle cannot leave one locked in the child.
@lru_cache(maxsize=1)
def machine() -> Facts:
    """Return what stays the same while this process lives."""
    return found(
        {
            "mlfoundry.version": _own_version,
            "python.version": lambda: _platform("python_version"),
            "python.implementation": lambda: _platform("python_implementation"),
            "platform.system": lambda: _platform("system"),
            "platform.release": lambda: _platform("release"),
            "platform.machine": lambda: _platform("machine"),
            "hardware.cpu": _cpu,
            "hardware.cpu_count": os.cpu_count,
            "hardware.memory_bytes": _memory_bytes,
        }
    )


def _own_version() -> str:
    from .. import __version__

    return __version__


def _platform(name: str) -> str:
    import platform

    return str(getattr(platform, name)())


def _cpu() -> str | None:
    """Return the name of the processor."""
    if sys.platform == "win32":
        import winreg

        key = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as processor:
            return str(winreg.QueryValueEx(processor, "ProcessorNameString")[0]).strip()
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return (output(command, directory=Path("/"), environment={}, timeout_s=1.0) or "").strip()
    with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "cpu model", "Model"):  # x86, MIPS, ARM
                return value.strip()
    return None


def _memory_bytes() -> int:
    import psutil

    return int(psutil.virtual_memory().total)


def gpus() -> Facts:
    """Name the GPUs, or give up after a second: a sick driver can keep NVML waiting for minutes."""
    facts: Facts = {}
    thread = threading.Thread(
        target=lambda: facts.update(or_nothing(_gpu_names)), name="mlfoundry-capture-gpu", daemon=True
    )
    thread.start()
    thread.join(_GPU_S)
    return {} if thread.is_alive() else facts


@lru_cache(maxsize=1)
def _gpu_names() -> Facts:
    import pynvml

    pynvml.nvmlInit()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        names = [pynvml.nvmlDeviceGetName(handle) for handle in handles]
    finally:
        pynvml.nvmlShutdown()
    return {
        f"hardware.gpu.{number}": name.decode() if isinstance(name, bytes) else str(name)
        for number, name in enumerate(names)
    }
