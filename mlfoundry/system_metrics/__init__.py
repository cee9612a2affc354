"""What the machine does while a run is open: host, process tree, container and GPUs, once a second.

Owns the sampling; keeps nothing, sends nothing. A run makes one `Sampler` and gives it the function that
records. Importing this package imports neither psutil nor NVML: both wait for a started sampler's thread.
"""

from __future__ import annotations

from mlfoundry.system_metrics.sampler import Sampler

__all__ = ["Sampler"]
