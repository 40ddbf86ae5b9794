"""Call a student's function so that nothing it does can hurt: its time, its randomness and its
errors are kept in.
"""

import ctypes
import os
import random
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch


class Stopped(BaseException):
    """Raised inside a function that takes too long."""


class TooLong(Exception):
    """A function that did not come back in time."""


def call(function: Callable, seconds: float):
    """Return function(), with draws that are the same each time, or raise what it raised.

    The function runs in a thread of its own: a loop in Python that never ends is stopped there, on
    every system. (One within a single call of C code, such as sum() over an endless iterator, no
    thread can stop.)

    Raises:
        TooLong: If it does not come back within so many seconds.
        RuntimeError: If it tried to end Python.
    """
    outcome: dict = {}

    def work() -> None:
        try:
            outcome["value"] = function()
        except Exception as error:
            outcome["error"] = error
        except BaseException as error:  # sys.exit(), or an interrupt that it raised itself
            outcome["ended"] = True
            if not isinstance(error, Stopped):
                outcome["error"] = RuntimeError(f"it tried to end Python ({type(error).__name__})")

    known = len(sys.modules)
    with _as_it_was():
        thread = _Quiet(target=work, daemon=True)
        thread.start()
        thread.join(seconds)
        # it imports something large: that counts once only
        if thread.is_alive() and len(sys.modules) > known:
            thread.join(seconds)
        # one that catches everything is asked again, and left behind at last
        end = time.monotonic() + 0.3
        while thread.is_alive() and not outcome and time.monotonic() < end:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(Stopped)
            )
            thread.join(0.05)
    if "error" in outcome:
        raise outcome["error"]
    if "value" not in outcome:
        raise TooLong
    return outcome["value"]


class _Quiet(threading.Thread):
    def run(self) -> None:
        with suppress(Stopped):  # asked once more while it ended already: no traceback for that
            super().run()


@contextmanager
def _as_it_was():
    """Seed every source of randomness for the block, and leave what a function may have set as it
    was before.
    """
    before = random.getstate(), np.random.get_state(), torch.get_default_dtype(), Path.cwd()
    with warnings.catch_warnings(action="ignore"), torch.random.fork_rng():
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
            torch.set_default_dtype(before[2])
            os.chdir(before[3])


def line_of(answer: Callable, error: Exception) -> str:
    """Return the last line of the answer's own cell or file that an error went through."""
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    return next(
        (
            frame.line or ""
            for frame in reversed(traceback.extract_tb(error.__traceback__))
            if frame.filename == file
        ),
        "",
    )
