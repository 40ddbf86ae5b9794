"""The paper's findings at the scale of one machine: grids of short runs, each cell with the
course's own training.

A cell of a study is a run of `pretrain` and what is measured of it. Chen et al. 2020 measured the
same on ImageNet with runs that were some ten thousand times longer: `agreement.py` holds their
figures and compares.
"""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import lru_cache
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from helpers.artifacts import sha256_of
from helpers.augmentations import color_drop, gaussian_noise, rotate, sobel
from helpers.data import ImageSet, load
from helpers.evaluation import Diverged, evaluate, extract_features
from helpers.findings.studies import DATA, IMAGES, STUDIES, Cell
from helpers.losses import positive_index
from helpers.metrics import contrastive_rank
from helpers.runtime import hardware, pick_device
from helpers.settings import Settings, settings_for, view_maker
from helpers.simclr import Pretrained, SimCLR, pretrain
from helpers.transfer import train_last_layers

PROBE_STRENGTHS = (0.003, 0.03, 0.3)
FACTORS = ("hue", "angle", "size", "x", "background_hue")


def unnormalized_nt_xent(projections: Tensor, temperature: float) -> Tensor:
    """NT-Xent of projections (2N, D) as they are: dot products in the place of cosines."""
    logits = (projections @ projections.T / temperature).fill_diagonal_(float("-inf"))
    return F.cross_entropy(logits, positive_index(len(projections), projections.device))


@lru_cache(maxsize=8)
def _parts(name: str, images: int) -> tuple[ImageSet, ImageSet, ImageSet]:
    train = load(name, "train", size=32, limit=images)
    val = load(name, "val", size=32, limit=2000)
    test = load(name, "test", size=32)
    return train, val, test


def run_cell(cell: Cell, photos: str = "cifar10", progress: bool = False) -> list[dict]:
    """Train one cell and return its rows: what names it, what was measured on test images, and how
    it was made.

    Args:
        cell: Of one of STUDIES.
        photos: Where the photos of "photos" come from: a name or path that `load` knows.
        progress: Whether to show a progress bar.

    Raises:
        KeyboardInterrupt: If it was interrupted: half a run is no cell.
    """
    started = time.monotonic()
    train, val, test = _parts("shapes" if cell.data == "shapes" else photos, cell.images)
    settings = _fitted(cell, train)
    try:
        found = pretrain(
            train,
            settings,
            loss=None if cell.l2 else unnormalized_nt_xent,
            progress=progress,
            evaluations=0,
        )
        if found.interrupted:
            raise KeyboardInterrupt
        for part in (found.encoder, found.head):
            part.to(pick_device())
        measured = (
            _knowledge(cell, found, train, val, test)
            if cell.measure == "knowledge"
            else [_scores(cell, found, train, val, test)]
        )
    except Diverged as error:  # that is a result as well
        found, measured = None, [{"failed": " ".join(str(error).split())}]
    made = {
        "seed": cell.settings.seed,
        "images": len(train),
        "test_images": len(test),
        "source": _source(cell, photos),
        "training_minutes": found.card["seconds"] / 60 if found else "",
        "minutes": (time.monotonic() - started) / 60,
        "settings": json.dumps(asdict(settings)),
        "threads": torch.get_num_threads(),
        "hardware": hardware(),
        "torch": torch.__version__,
    }
    return [{"data": cell.data, **cell.about, **each, **made} for each in measured]


def score_untrained(data: str, seed: int, photos: str = "cifar10") -> dict:
    """Return the row of an encoder as a run of "composition" begins with it, measured as that study
    measures.

    Args:
        data: "photos" or "shapes".
        seed: Of its weights.
        photos: See `run_cell`.
    """
    cell = next(cell for cell in STUDIES["composition"](seed) if cell.data == data)
    parts = _parts("shapes" if data == "shapes" else photos, cell.images)
    encoder = SimCLR(cell.settings, parts[0].images).encoder.eval().to(pick_device())
    scores = evaluate(encoder, *parts, strengths=PROBE_STRENGTHS)
    return {
        "data": data,
        "knn": scores["knn"],
        "probe": scores["probe"],
        "seed": seed,
        "images": len(parts[0]),
        "test_images": len(parts[2]),
        "source": _source(cell, photos),
        "hardware": hardware(),
        "torch": torch.__version__,
    }


def rerun(study: str, seed: int, images: int | None = None, **about: str) -> dict:
    """Train one cell of a study on shapes with another seed, here and now, and return its row.

    Args:
        study: One of STUDIES.
        seed: One that the shipped tables do not hold is a new measurement.
        images: To learn from fewer, for a quick look; as many as the study if None.
        about: The cell's columns, as in the table; spaces of a name are written as underscores.

    Raises:
        ValueError: If there is no such cell.
    """
    wanted = {name.replace("_", " "): value for name, value in about.items()}
    found = [
        cell
        for cell in _study(study)(seed)
        if cell.data == "shapes" and wanted.items() <= cell.about.items()
    ]
    if len(found) != 1:
        raise ValueError(
            f"{len(found)} cells of {study} on shapes have {wanted}; name one by its columns: "
            f"{', '.join(_study(study)(seed)[0].about)}"
        )
    cell = found[0]
    if images is not None:
        cell = replace(cell, images=images, settings=replace(cell.settings, epochs=1.0))
    return run_cell(cell, progress=True)[0]


def _fitted(cell: Cell, train: ImageSet) -> Settings:
    """Return the settings of a cell for these images: supervised training has an output for each
    class.
    """
    supervised = cell.settings.objective == "supervised"
    return replace(cell.settings, head_dim=len(train.classes)) if supervised else cell.settings


def _source(cell: Cell, photos: str) -> str:
    """Return where the images of a cell come from; photos with a hash of what they show."""
    if cell.data == "shapes":
        return "rendered"
    return f"{Path(photos).name} {_digest(photos, cell.images)}"


@lru_cache(maxsize=8)
def _digest(name: str, images: int) -> str:
    train, _, test = _parts(name, images)
    return sha256_of(train.images, test.images)[:12]


def _scores(cell: Cell, found: Pretrained, train: ImageSet, val: ImageSet, test: ImageSet) -> dict:
    of_h = evaluate(found.encoder, train, val, test, strengths=PROBE_STRENGTHS)
    scores: dict = {"knn": of_h["knn"], "probe": of_h["probe"]}
    if cell.settings.objective == "supervised":
        logits = extract_features(nn.Sequential(found.encoder, found.head), test.images)
        return scores | {"accuracy": (logits.argmax(dim=1) == test.labels).float().mean().item()}
    scores["pairs_found"] = pairs_found(found, test, cell.l2)
    if cell.measure == "head":
        of_z = evaluate(
            nn.Sequential(found.encoder, found.head), train, val, test, strengths=PROBE_STRENGTHS
        )
        scores |= {"knn_z": of_z["knn"], "probe_z": of_z["probe"]}
    # what the explorer shows
    if cell.settings.one_branch and cell.data == "shapes" and cell.settings.seed == 0:
        scores["neighbors"] = json.dumps(neighbors(found.encoder, train, test))
    return scores


@torch.inference_mode()
def pairs_found(found: Pretrained, images: ImageSet, l2: bool = True, batches: int = 8) -> float:
    """Return the share of views whose partner is the most similar of a batch, by the similarity
    that the loss uses.

    Of new views of held-out images, in batches as large as those of the training.
    """
    views, generator = view_maker(found.settings), torch.Generator().manual_seed(0)
    device = next((p.device for p in found.encoder.parameters()), torch.device("cpu"))
    share = []
    for rows in torch.randperm(len(images), generator=generator).split(found.settings.batch_size)[
        :batches
    ]:
        z = found.head(found.encoder(views(images.images[rows], generator).to(device))).cpu()
        if l2:
            share.append(contrastive_rank(z)[0].item())
        else:
            nearest = (z @ z.T).fill_diagonal_(float("-inf")).argmax(dim=1)
            share.append((nearest == positive_index(len(z))).float().mean().item())
    return sum(share) / len(share)


def neighbors(encoder: nn.Module, bank: ImageSet, asked: ImageSet, count: int = 4) -> list[list]:
    """Return the rows of the nearest `bank` images, by cosine similarity, of each of the first six
    asked for.
    """
    first, second = (
        F.normalize(extract_features(encoder, images), dim=1)
        for images in (asked.images[:6], bank.images)
    )
    return (first @ second.T).topk(count, dim=1).indices.tolist()


def _knowledge(cell: Cell, found: Pretrained, *parts: ImageSet) -> list[dict]:
    nets = {
        "pixels": nn.Flatten(),
        "h": found.encoder,
        "z": nn.Sequential(found.encoder, found.head),
    }
    own = {
        "nothing": "colour or grey",
        "rotation": "rotation",
        "noise": "original or noisy",
        "Sobel": "original or Sobel",
    }[cell.about["added"]]
    questions = {own: [_asked(part, own) for part in parts]}
    if cell.about["added"] == "nothing":
        if parts[0].factors:
            questions |= {
                name: [_binned(part, parts[0], name) for part in parts] for name in FACTORS
            }
        questions["class"] = list(parts)
    rows = []
    for (question, (train, val, test)), (name, net) in product(questions.items(), nets.items()):
        accuracy = train_last_layers(net, train, val, hidden=256, steps=600).accuracy(test)
        rows.append(
            {
                "question": question,
                "read from": name,
                "accuracy": accuracy,
                "chance": 1 / len(test.classes),
            }
        )
    return rows


def _asked(part: ImageSet, question: str) -> ImageSet:
    """Return the images with a transform on some of them, and which one as their label; as many of
    each.
    """
    ways = 4 if question == "rotation" else 2
    own = int.from_bytes(part.name.encode(), "big") % 2**31  # other draws for each split
    generator = torch.Generator().manual_seed(own)
    labels = torch.randperm(len(part), generator=generator) % ways
    images = part.images.float() / 255
    changed = images
    if question == "rotation":
        changed = rotate(images, labels)
    elif question == "colour or grey":
        changed = color_drop(images, torch.ones(len(part)))
    elif question == "original or noisy":
        changed = gaussian_noise(images, torch.full((len(part),), 0.1), generator=generator)
    else:
        changed = sobel(images, torch.ones(len(part)))
    images = torch.where((labels > 0)[:, None, None, None], changed, images)
    return ImageSet(
        part.name, (images * 255).round().byte(), labels, tuple(str(way) for way in range(ways))
    )


def _binned(part: ImageSet, train: ImageSet, factor: str) -> ImageSet:
    """Return the images with a quarter of a factor's range as their label, as many of `train` in
    each quarter.
    """
    borders = train.factors[factor].quantile(torch.tensor([0.25, 0.5, 0.75]))
    return ImageSet(
        part.name, part.images, torch.bucketize(part.factors[factor], borders), tuple("1234")
    )


def run_study(
    name: str,
    *,
    photos: str = "cifar10",
    data: tuple[str, ...] = DATA,
    seeds: int = 3,
    workers: int = 1,
    known: Sequence[dict] = (),
    keep: Callable[[list[dict]], None] | None = None,
    progress: bool = True,
) -> list[dict]:
    """Return the rows of a study, those that are known already and those of the cells that are
    missing.

    Args:
        name: One of STUDIES.
        photos: See `run_cell`.
        data: "photos", "shapes" or both.
        seeds: How many.
        workers: Processes that train at the same time, one thread each; 1 trains here, with all
            threads.
        known: Rows that an earlier call left.
        keep: Called with all rows after each cell.
        progress: Whether to say how long it may take, and show a progress bar.

    Raises:
        ValueError: If the study is unknown, or known rows were made with other settings.
    """
    cells = [cell for seed in range(seeds) for cell in _study(name)(seed) if cell.data in data]
    done: dict[tuple, list[dict]] = {}
    columns = ("data", *cells[0].about, "seed")
    for row in known:
        if not {*columns, "settings", "source", "images"} <= row.keys():
            raise ValueError(
                f"the rows that are known already are not of the study {name!r}; start another "
                "table"
            )
        done.setdefault(tuple(str(row[column]) for column in columns), []).append(row)
    for cell in cells:
        for row in done.get(cell.key, []):
            train = _parts("shapes" if cell.data == "shapes" else photos, cell.images)[0]
            if (
                asdict(_fitted(cell, train)) != json.loads(row["settings"])
                or row["source"] != _source(cell, photos)
                or int(row["images"]) != len(train)
            ):
                raise ValueError(
                    f"the known row {' '.join(cell.key)} was made with other settings or images; "
                    "start another table"
                )
    missing = [cell for cell in cells if cell.key not in done]
    if missing and progress:
        hours, minutes = divmod(round(_estimate(missing, list(known), workers)), 60)
        print(
            f"{len(missing)} of {len(cells)} runs to do: about {hours} h {minutes:02} min with "
            f"{workers} worker{'s' * (workers > 1)}",
            flush=True,
        )
    bar = tqdm(
        total=len(cells),
        initial=len(cells) - len(missing),
        desc=name,
        unit="run",
        disable=not progress,
        file=sys.stdout if "ipykernel" in sys.modules else None,
    )
    for cell, rows in _trained(missing, photos, workers):
        done[cell.key] = rows
        bar.update()
        if keep:
            keep(_in_order(done, cells))
    bar.close()
    return _in_order(done, cells)


def _in_order(done: dict[tuple, list[dict]], cells: list[Cell]) -> list[dict]:
    """Return all rows, those of the study's cells first and in its order, whichever were ready
    first.
    """
    keys = dict.fromkeys([cell.key for cell in cells if cell.key in done] + list(done))
    return [row for key in keys for row in done[key]]


def _study(name: str) -> Callable[[int], list[Cell]]:
    if name not in STUDIES:
        raise ValueError(f"unknown study {name!r}; choose {', '.join(STUDIES)}")
    return STUDIES[name]


def _trained(cells: list[Cell], photos: str, workers: int):
    """Yield (cell, its rows) as they come."""
    if workers == 1:
        for cell in cells:
            yield cell, run_cell(cell, photos)
        return
    for source in {cell.data for cell in cells}:  # decoded once, before several ask for it
        _parts("shapes" if source == "shapes" else photos, IMAGES)
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)
    waiting = {pool.submit(run_cell, cell, photos): cell for cell in cells}
    try:
        for future in as_completed(waiting):
            yield waiting[future], future.result()
        pool.shutdown()  # all is done: the workers end by themselves
    finally:  # interrupted: what is half done is dropped
        started = set(multiprocessing.active_children()) - others
        pool.shutdown(wait=False, cancel_futures=True)
        for process in started:  # workers ignore SIGINT
            process.kill()  # and Lightning intercepts SIGTERM


def _begin() -> None:
    """Prepare a worker: one thread; it ends when its parent says so, or with its parent."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _estimate(cells: list[Cell], known: list[dict], workers: int) -> float:
    """Return the minutes that the cells may take: by this machine's rows of the study, or by a few
    steps taken now.
    """
    runs = {
        (row["data"], row["settings"]): row for row in known if row["hardware"] == hardware()
    }.values()
    if runs:
        views = sum(
            2 * int(row["images"]) * float(json.loads(row["settings"])["epochs"]) for row in runs
        )
        each = sum(float(row["minutes"]) for row in runs) / views
    else:
        some, settings = _parts("shapes", 2000)[0], settings_for("laptop", "shapes", epochs=1.0)
        threads = torch.get_num_threads()
        torch.set_num_threads(1 if workers > 1 else threads)
        each = (
            1.3
            * pretrain(some, settings, progress=False, evaluations=0).card["seconds"]
            / 60
            / (2 * len(some))
        )
        torch.set_num_threads(threads)
    return each * sum(cell.views for cell in cells) / workers
