"""From a slider's change to new picture bytes: python tests/benchmarks/latency.py prints the table.

Every control of every explorer is moved, at its default size (so the number of images stays), after
one round to warm up. What is timed is what the
kernel does: the callback, the computation, the drawing and the encoding of the picture.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.path.insert(1, str(Path(__file__).resolve().parent.parent))

from explorers import EXPLORERS, move

from helpers.runtime import hardware


def main() -> int:
    """Print the table and return 1 if an explorer misses 30 ms for 95% of its changes."""
    print(hardware())
    print("| explorer | changes | median ms | 95% within ms |\n|---|---|---|---|")
    slow = 0
    for kind in EXPLORERS:
        explorer = kind()
        controls = [control for control in explorer.controls if control.description != "images N"]
        for control in controls:
            move(control, 0)
        milliseconds = []
        for turn in range(1, 21):
            for control in controls:
                started = time.perf_counter()
                if move(control, turn):
                    milliseconds.append(1000 * (time.perf_counter() - started))
        worst = statistics.quantiles(milliseconds, n=20)[-1]
        slow += worst > 30
        middle = statistics.median(milliseconds)
        print(f"| {kind.__name__} | {len(milliseconds)} | {middle:.1f} | {worst:.1f} |", flush=True)
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
