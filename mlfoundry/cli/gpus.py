"""The NVIDIA GPUs of this machine, as ``mlfoundry doctor`` names them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any


def gpus() -> dict[str, Any]:
    """Return the NVIDIA GPUs that NVML names, or why there are none."""
    from ..system_metrics.gpu import load_nvml

    none: dict[str, Any] = {"driver": None, "devices": []}
    try:
        nvml = load_nvml()
    except ImportError:
        return {
            **none,
            "message": "nvidia-ml-py is not installed; GPUs are not recorded. Run: pip install nvidia-ml-py",
        }
    if nvml is None:
        return {**none, "message": "none: no NVIDIA driver is installed"}
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return {**none, "message": f"none: the NVIDIA driver does not answer ({error})"}
    try:
        devices = [_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
        message = "" if devices else "none: the NVIDIA driver shows no GPU"
        return {"driver": _text(nvml.nvmlSystemGetDriverVersion()), "devices": devices, "message": message}
    except nvml.NVMLError as error:
        return {**none, "message": f"cannot be listed: the NVIDIA driver says {error}"}
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _gpu(nvml: Any, index: int) -> dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = None
    with suppress(nvml.NVMLError):
        memory = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
    return {"index": index, "name": _text(nvml.nvmlDeviceGetName(handle)), "memory_bytes": memory}


def _text(name: str | bytes) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name  # bytes in old versions of NVML
