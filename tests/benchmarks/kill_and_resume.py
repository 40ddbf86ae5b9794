"""Kill a training run at random moments, resume it until it ends, and compare its weights with
those of a whole run.

    python tests/benchmarks/kill_and_resume.py --kills 20

One run is killed (SIGKILL) and resumed again and again; if it ends before enough kills, another one
starts.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from helpers.simclr import load_pretrained  # noqa: E402


def weights(folder: Path) -> dict:
    """Return the weights that a run left."""
    found = load_pretrained(folder)
    return {
        **found.encoder.state_dict(),
        **{f"head.{k}": v for k, v in found.head.state_dict().items()},
    }


def main() -> None:
    """Kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    place = Path(tempfile.mkdtemp())
    train = [
        sys.executable,
        "-m",
        "helpers",
        "train",
        "--preset",
        "smoke",
        "--limit",
        "2048",
        "--epochs",
        "4",
        "--device",
        "cpu",
        "--no-progress",
        "--keep-seconds",
        "0.5",
    ]
    start = time.monotonic()
    subprocess.run(
        [*train, "--out", str(place / "whole")], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    seconds = time.monotonic() - start
    expected = weights(place / "whole")
    print(f"a whole run takes {seconds:.0f} s", flush=True)
    kills, compared, failed = 0, 0, 0
    while kills < options.kills:
        out, resume, kept_times = place / f"run{compared}", [], []
        while True:
            process = subprocess.Popen(
                [*train, "--out", str(out), *resume], cwd=ROOT, stdout=subprocess.DEVNULL
            )
            try:
                # Any moment: while it starts, trains, writes a checkpoint, or evaluates.
                code = process.wait(chance.uniform(0, seconds) if kills < options.kills else None)
                assert code == 0, f"exit {code}"
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                resume = ["--resume"]
                kept = out / "last.ckpt"
                step = "none"
                if kept.exists():
                    state = torch.load(kept, weights_only=True)
                    step = state["global_step"]
                    kept_times = [
                        row["seconds"] for row in state["callbacks"]["Recorder"]["history"]
                    ]
                left = sorted(p.name for p in out.glob(".*.part")) if out.exists() else []
                print(
                    f"kill {kills:2d}: kept step "
                    f"{step}{', left over ' + str(left) if left else ''}",
                    flush=True,
                )
        found = weights(out)
        same = found.keys() == expected.keys() and all(
            torch.equal(found[k], expected[k]) for k in expected
        )
        # Resumed, not started anew: rows that were kept still carry the times at which they were
        # first measured.
        times = [row["seconds"] for row in load_pretrained(out).history]
        same = same and times[: len(kept_times)] == kept_times
        compared, failed = compared + 1, failed + (not same)
        print(
            f"run {compared} ended: weights "
            f"{'identical' if same else 'DIFFER, or it started anew'}",
            flush=True,
        )
    shutil.rmtree(place)
    print(f"{kills} kills, {compared} runs ended, {failed} with other weights")
    sys.exit(os.EX_SOFTWARE if failed else 0)


if __name__ == "__main__":
    main()
