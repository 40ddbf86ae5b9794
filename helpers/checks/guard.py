"""Call a student's function so that nothing it does can hurt: its time, its randomness and its errors are kept in."""

import ctypes
import random
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager

import numpy as np
import torch


class Stopped(BaseException):
    """Raised inside a function that takes too long."""


class TooLong(Exception):
    """A function that did not come back in time."""


def call(function: Callable, arguments: tuple, seconds: float):
    """Return function(*arguments), with draws that are the same each time, or raise what it raised.

    The function runs in a thread of its own: one that loops for ever is stopped there, on every system.

    Raises:
        TooLong: If it does not come back within so many seconds.
        RuntimeError: If it tried to end Python.
    """
    outcome: dict = {}

    def work() -> None:
        try:
            outcome["value"] = function(*arguments)
        except Stopped:
            pass
        except Exception as error:
            outcome["error"] = error
        except BaseException as error:  # sys.exit(), or an interrupt that it raised itself
            outcome["error"] = RuntimeError(f"it tried to end Python ({type(error).__name__})")

    with _same_draws():
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(seconds)
        end = time.monotonic() + 0.3  # one that catches everything is asked again, and left behind at last
        while thread.is_alive() and time.monotonic() < end:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Stopped))
            thread.join(0.02)
    if "error" in outcome:
        raise outcome["error"]
    if "value" not in outcome:
        raise TooLong
    return outcome["value"]


@contextmanager
def _same_draws():
    """Seed every source of randomness for the block, and leave all of them as they were before."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state(), torch.get_default_dtype()
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
        torch.set_default_dtype(before[3])
