"""The machine: device, precision, threads, seeds and a report of the environment."""

import ctypes
import gc
import math
import os
import platform
import random
import sys
import time
from importlib import metadata
from pathlib import Path

import joblib
import numpy as np
import torch

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "numpy",
    "matplotlib",
    "scikit-learn",
    "ipywidgets",
    "jupyterlab",
)
HALF = {
    "bf16-mixed": torch.bfloat16,
    "16-mixed": torch.float16,
}  # what `torch.autocast` takes for a precision


def pick_device(name: str = "auto") -> torch.device:
    """Return the fastest device of this machine, or the one that is named (cpu, cuda, mps)."""
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if name not in available:
        raise ValueError(f"unknown device {name!r}; choose auto, cpu, cuda or mps")
    if not available[name]:
        raise ValueError(f"this machine has no {name} device; choose --device auto or cpu")
    return torch.device(name)


def pick_precision(device: torch.device) -> str:
    """Return the precision that is fast on the device: "bf16-mixed", "16-mixed" or "32-true"
    (Lightning's names).

    bfloat16 where the hardware multiplies it (GPUs from Ampere on; CPUs with AVX-512 BF16 or AMX),
    float16 on older GPUs such as Colab's T4, and 32-bit floats everywhere else, since emulated
    bfloat16 is slower than those.
    """
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.get_device_capability(device)[0] >= 8 else "16-mixed"
    if device.type == "cpu" and cpu_has_bfloat16():
        return "bf16-mixed"
    return "32-true"


def cpu_has_bfloat16() -> bool:
    """Tell whether this CPU multiplies bfloat16 in hardware."""
    # torch.cpu.get_capabilities arrived after torch 2.10; before it the same answer has only a
    # private name.
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def usable_cores() -> int:
    """Return the number of CPU cores that this process may use: a container's share may be less
    than the machine.
    """
    return joblib.cpu_count()


def seed_everything(seed: int) -> None:
    """Seed Python's random, NumPy and torch (every device)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def is_first_rank() -> bool:
    """Return whether this process is the first of those that train together."""
    from lightning.pytorch.utilities import rank_zero_only  # slow to import

    return getattr(rank_zero_only, "rank", 0) == 0


def processor_name() -> str:
    """Return the processor's name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def hardware(device: torch.device | None = None, precision: str | None = None) -> str:
    """Return one line that names what a result was measured on, such as "AMD EPYC, 2 cores, CPU
    bf16-mixed".
    """
    device = device or pick_device()
    line = f"{processor_name()}, {usable_cores()} cores"
    if device.type == "cuda":
        line += f", {torch.cuda.get_device_name(device)}"
    return f"{line}, {device.type.upper()} {precision or pick_precision(device)}"


class Cost:
    """What the block of a `with` costs: `seconds`, and `mebibytes` of memory at its peak above what
    was in use before.

    The memory is the GPU's where the device is one, and the process's on Linux; elsewhere it is
    nan.
    """

    def __init__(self, device: torch.device | None = None):
        self.device = device or torch.device("cpu")
        self.seconds = self.mebibytes = math.nan
        self._before: float = math.nan

    def __enter__(self) -> "Cost":
        gc.collect(1)  # all generations take a fifth of a second
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device)
        else:
            self._before = _process_memory("VmRSS") if _forget_peak() else math.nan
        self._started = time.monotonic()
        return self

    def __exit__(self, *_) -> None:
        self.seconds = time.monotonic() - self._started
        if self.device.type == "cuda":
            self.mebibytes = (torch.cuda.max_memory_allocated(self.device) - self._before) / 2**20
        elif not math.isnan(self._before):
            self.mebibytes = (_process_memory("VmHWM") - self._before) / 2**20


def _forget_peak() -> bool:
    if sys.platform != "linux":
        return False
    try:
        # what was freed goes back, or the block would take it for nothing
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what is in use now
        return True
    except (OSError, AttributeError):
        return False


def _process_memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def versions() -> dict[str, str]:
    """Return the versions of Python and of the course's packages, "missing" where there is none."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def environment() -> dict[str, str]:
    """Return a report of the machine: system, processor, memory, device, precision, place and
    versions.
    """
    device = pick_device()
    report = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "cores": str(usable_cores()),
        "torch threads": str(torch.get_num_threads()),
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        report["memory"] = (
            f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
        )
    report["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    report["precision"] = pick_precision(device)
    report["running in"] = (
        "Colab" if in_colab() else "a notebook" if "ipykernel" in sys.modules else "a terminal"
    )
    return report | versions()


def in_colab() -> bool:
    """Tell whether this Python runs in Google Colab."""
    return "google.colab" in sys.modules
