"""The transfer options over labels and seeds, and what they cost."""

import functools
import json
import multiprocessing
import sys
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import product

import torch

from data.make.encoders import NEW
from data.make.runs import RUNS
from helpers.artifacts import RESULTS
from helpers.data import ImageSet, load, nested_subset
from helpers.models import build_encoder
from helpers.results import read_results, write_results
from helpers.runtime import hardware
from helpers.simclr import load_pretrained
from helpers.transfer import OPTIONS, RUN, compare, fingerprint, train_from_scratch

TARGETS = {
    "shapes": ("shapes-six", (5, 20, 100, None), True),
    "cifar10": ("cifar10-tiny", (10, 50, 100, 500, None), False),
    "flowers17": ("cifar10-tiny", (5, 10, 20, 50), True),
}
TRIES = 4


@functools.cache
def target_parts(target: str, photos: str, flowers: str) -> list[ImageSet]:
    """Return train, val and test of a target of transfer."""
    data = {"shapes": "shapes", "cifar10": photos, "flowers17": flowers}[target]
    parts = [load(data, split, size=32) for split in ("train", "val", "test")]
    if target == "shapes":
        return [part.only(NEW) for part in parts]
    if data.endswith(".zip"):
        for part in parts:
            part.name = f"{target} (JPEG)/{part.name.partition('/')[2]}"
    return parts


def make_transfer(target: str, photos: str, flowers: str, seeds: int, workers: int) -> None:
    """The three options and the baseline from scratch on one target; a killed one goes on with the
    rows it has.
    """
    encoder, labels, each_seed = TARGETS[target]
    path = RUNS / f"transfer_{target}.csv"  # half a table does not ship
    cells = [
        (str(per_class or "all"), option, str(seed))
        for per_class, option in product(labels, OPTIONS)
        for seed in range(seeds)
    ]
    done = {
        (row["labels"], row["option"], row["seed"]): row
        for row in (read_results(path) if path.exists() else [])
    }
    now = fingerprint(load_pretrained(encoder).encoder)
    if {(row["encoder_fingerprint"], row["tries"]) for row in done.values()} - {(now, str(TRIES))}:
        sys.exit(f"{path} was made with another encoder or other tries; remove it")
    waiting = [cell for cell in cells if cell not in done]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        running = {}
        while waiting or running:
            for cell in list(waiting):
                first = (*cell[:2], "0")
                if len(running) < workers and (each_seed or cell == first or first in done):
                    running[
                        pool.submit(
                            transfer_row, target, photos, flowers, cell, list(done.values())
                        )
                    ] = cell
                    waiting.remove(cell)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                cell = running.pop(future)
                done[cell] = {"encoder": encoder} | future.result()
                write_results(
                    path, [done[key] for key in dict.fromkeys([*cells, *done]) if key in done]
                )
                print(f"{len(done)}/{len(cells)}", *cell, done[cell]["accuracy"], flush=True)
    write_results(RESULTS / path.name, read_results(path))


def transfer_row(
    target: str, photos: str, flowers: str, cell: tuple[str, str, str], known: list[dict]
) -> dict:
    """Return one row of a table of transfer, in a process of its own."""
    encoder, _, each_seed = TARGETS[target]
    per_class, option, seed = cell
    parts = target_parts(target, photos, flowers)
    return compare(
        load_pretrained(encoder).encoder,
        *parts,
        labels=(None if per_class == "all" else int(per_class),),
        options=(option,),
        seeds=(int(seed),),
        tries=TRIES,
        search_each_seed=each_seed,
        known=known,
        progress=False,
    )[-1]


def make_costs(photos: str, flowers: str) -> None:
    """Seconds and memory of the first seed's choices, trained again with nothing else running."""
    path, key = (
        RUNS / "transfer_costs.csv",
        ("target", "encoder_fingerprint", "labels", "option", "choice"),
    )
    warm = load("shapes", "val", limit=200)
    # else the first row pays for what torch sets up
    train_from_scratch(build_encoder("tiny"), warm, warm, steps=20)
    done = {
        tuple(row[k] for k in key): row for row in (read_results(path) if path.exists() else [])
    }
    rows = []
    for target, (encoder, _, _) in TARGETS.items():
        net, (train, val, _) = (
            load_pretrained(encoder).encoder,
            target_parts(target, photos, flowers),
        )
        for row in read_results(f"transfer_{target}"):
            if row["seed"] != "0":
                continue
            cell = {"target": target} | {k: row[k] for k in key[1:]}
            if tuple(cell.values()) not in done:
                labels = None if row["labels"] == "all" else int(row["labels"])
                few, asked = (
                    part.subset(
                        nested_subset(
                            part.labels,
                            labels and min(labels, int(part.labels.bincount().min())),
                            0,
                        )
                    )
                    for part in (train, val)
                )
                fitted = RUN[row["option"]](net, few, asked, **json.loads(row["choice"]))
                done[tuple(cell.values())] = cell | {
                    "seconds": fitted.seconds,
                    "mebibytes": fitted.mebibytes,
                    "parameters": fitted.parameters,
                    "threads": torch.get_num_threads(),
                    "hardware": hardware(),
                    "torch": torch.__version__,
                }
                print(done[tuple(cell.values())], flush=True)
            rows.append(done[tuple(cell.values())])
            write_results(path, [*rows, *(row for row in done.values() if row not in rows)])
    write_results(RESULTS / path.name, rows)
