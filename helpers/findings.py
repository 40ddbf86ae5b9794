"""The paper's findings at the scale of one machine: grids of short runs, each cell with the course's own training.

A study is a list of cells; a cell is a run of `pretrain` and what is measured of it. Chen et al. 2020 measured the same
on ImageNet with runs that were some ten thousand times longer: `agreement.py` holds their figures and compares.
"""

import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from helpers.augmentations import color_drop, gaussian_noise, rotate, sobel
from helpers.data import ImageSet, load
from helpers.evaluation import evaluate, extract_features
from helpers.losses import positive_index
from helpers.runtime import fast_mode, hardware
from helpers.settings import TRANSFORMS, Settings, settings_for
from helpers.simclr import Pretrained, pretrain
from helpers.transfer import train_last_layers

DATA = ("photos", "shapes")
IMAGES = 10_000  # of each, to learn from: a fixed choice
STRENGTHS = ("1/8", "1/4", "1/2", "1", "1 + blur")
BATCHES, LENGTHS = (32, 64, 128, 256), (2, 4, 8, 16)
PROBE_STRENGTHS = (0.003, 0.03, 0.3)
FACTORS = ("hue", "angle", "size", "x", "background_hue")


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
        data: "photos" or "shapes".
        about: The columns that tell it from the study's other cells, besides data and seed.
        settings: What to train and how.
        images: How many to learn from.
        l2: Whether z is normalised before similarities are taken.
        measure: What is measured of it: "" for kNN and probe, "head" for those of z too, "knowledge" for what h and z
            still tell of an image.
    """

    data: str
    about: dict[str, str]
    settings: Settings
    images: int = IMAGES
    l2: bool = True
    measure: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What names it in a table."""
        return self.data, *self.about.values(), str(self.settings.seed)

    @property
    def views(self) -> int:
        """How many views its training takes."""
        return round(2 * self.images * self.settings.epochs)


def _settings(data: str, epochs: float, seed: int, **changes) -> Settings:
    name = "shapes" if data == "shapes" else "cifar10"
    return settings_for("laptop", name, epochs=float(epochs), warmup_epochs=epochs / 10, seed=seed, **changes)


def composition(seed: int) -> list[Cell]:
    """Figure 5: a transform alone (diagonal), or a first and then a second one, on one of two equal crops."""
    return [Cell(data, {"first": first, "second": second}, _settings(
        data, 3 if data == "photos" else 2, seed, one_branch=first if first == second else f"{first},{second}"))
        for data, first, second in product(DATA, TRANSFORMS, TRANSFORMS)]


def color(seed: int) -> list[Cell]:
    """Table 1: the strength of the colour jitter, for SimCLR and for supervised training with the same views."""
    cells = []
    for data, objective, strength in product(DATA, ("contrastive", "supervised"), STRENGTHS):
        number, _, blur = strength.partition(" + ")
        over, _, under = number.partition("/")
        cells.append(Cell(data, {"objective": objective, "strength": strength}, _settings(
            data, 8 if data == "photos" else 4, seed, color_strength=int(over) / int(under or 1), gray_p=0.2,
            blur_p=0.5 if blur else 0.0, **_objective(objective))))
    return cells


def head(seed: int) -> list[Cell]:
    """Figure 8: no head, a linear and a nonlinear one, and how long z is."""
    kinds = [("none", ""), *product(("linear", "nonlinear"), ("32", "128", "512"))]
    return [Cell(data, {"head": kind, "length of z": size}, _settings(
        data, 6 if data == "photos" else 4, seed, head=kind, head_dim=int(size or 128)), measure="head")
        for data, (kind, size) in product(DATA, kinds)]


def knowledge(seed: int) -> list[Cell]:
    """Table 3: what h and z still tell of an image, z as long as h; on shapes, of what it was rendered from too."""
    return [Cell(data, {}, _settings(data, 8, seed, head_dim=224), measure="knowledge") for data in DATA]


def batch_epochs(seed: int) -> list[Cell]:
    """Figure 9, Table B.1: batch size and length of training; the rate grows with the batch or with its root."""
    cells = []
    for data, objective, scaling in (("photos", "contrastive", "linear"), ("photos", "contrastive", "sqrt"),
                                     ("photos", "supervised", "linear"), ("shapes", "contrastive", "linear")):
        # At batch 256 the two scalings are the same rate: once is enough.
        for batch, epochs in product(BATCHES[:-1] if scaling == "sqrt" else BATCHES, LENGTHS):
            cells.append(Cell(data, {"objective": objective, "scaling": scaling, "batch": str(batch),
                                     "epochs": str(epochs)},
                              _settings(data, epochs, seed, batch_size=batch, optimizer="sgd", lr=0.12,
                                        lr_scaling=scaling, **_objective(objective)),
                              images=IMAGES if data == "photos" else 4000))
    return cells


def temperature(seed: int) -> list[Cell]:
    """Table 5: the temperature, with z normalised and as it is."""
    taus = [("yes", tau) for tau in ("0.05", "0.1", "0.2", "0.5", "1")] + [("no", tau) for tau in ("1", "10", "100")]
    return [Cell(data, {"L2": l2, "temperature": tau}, _settings(
        data, 6 if data == "photos" else 4, seed, temperature=float(tau)), l2=l2 == "yes")
        for data, (l2, tau) in product(DATA, taus)]


STUDIES: dict[str, Callable[[int], list[Cell]]] = {
    "composition": composition, "color": color, "head": head, "knowledge": knowledge, "batch_epochs": batch_epochs,
    "temperature": temperature}


def _objective(name: str) -> dict:
    return {"objective": name, "head": "linear", "head_dim": 10} if name == "supervised" else {}


def unnormalized_nt_xent(projections: Tensor, temperature: float) -> Tensor:
    """NT-Xent of projections (2N, D) as they are: dot products in the place of cosines."""
    logits = (projections @ projections.T / temperature).fill_diagonal_(float("-inf"))
    return F.cross_entropy(logits, positive_index(len(projections), projections.device))


@lru_cache(maxsize=8)
def _parts(name: str, images: int) -> tuple[ImageSet, ImageSet, ImageSet]:
    return tuple(load(name, split, limit=limit) for split, limit in (("train", images), ("val", 2000), ("test", None)))


def run_cell(cell: Cell, photos: str = "cifar10", progress: bool = False) -> list[dict]:
    """Train one cell and return its rows: what names it, what was measured on test images, and how it was made.

    Args:
        cell: Of one of STUDIES.
        photos: Where the photos of "photos" come from: a name or path that `load` knows.
        progress: Whether to show a progress bar.

    Raises:
        KeyboardInterrupt: If it was interrupted: half a run is no cell.
    """
    started = time.monotonic()
    train, val, test = _parts("shapes" if cell.data == "shapes" else photos, cell.images)
    found = pretrain(train, cell.settings, loss=None if cell.l2 else unnormalized_nt_xent, progress=progress,
                     evaluations=0)
    if found.interrupted:
        raise KeyboardInterrupt
    measured = _knowledge(found, train, val, test) if cell.measure == "knowledge" else [
        _scores(cell, found, train, val, test)]
    default = asdict(Settings())
    made = {"seed": cell.settings.seed, "images": len(train), "test_images": len(test),
            "source": "rendered" if cell.data == "shapes" else photos.rpartition("/")[2],
            "training_minutes": found.card["seconds"] / 60, "minutes": (time.monotonic() - started) / 60,
            "settings": json.dumps({k: v for k, v in asdict(cell.settings).items() if v != default[k]}),
            "threads": torch.get_num_threads(), "hardware": hardware(), "torch": torch.__version__}
    return [{"data": cell.data, **cell.about, **each, **made} for each in measured]


def rerun(study: str, seed: int, **about: str) -> dict:
    """Train one cell of a study on shapes with another seed, here and now, and return its row.

    Args:
        study: One of STUDIES.
        seed: One that the shipped tables do not hold is a new measurement.
        about: The cell's columns, as in the table; spaces of a name are written as underscores.

    Raises:
        ValueError: If there is no such cell.
    """
    wanted = {name.replace("_", " "): value for name, value in about.items()}
    found = [cell for cell in _study(study)(seed) if cell.data == "shapes" and wanted.items() <= cell.about.items()]
    if len(found) != 1:
        raise ValueError(f"{len(found)} cells of {study} on shapes have {wanted}; name one by its columns: "
                         f"{', '.join(_study(study)(seed)[0].about)}")
    cell = found[0]
    if fast_mode():
        cell = replace(cell, images=256, settings=replace(cell.settings, epochs=1.0))
    return run_cell(cell, progress=True)[0]


def _scores(cell: Cell, found: Pretrained, *parts: ImageSet) -> dict:
    scores = {name: value for name, value in evaluate(found.encoder, *parts, strengths=PROBE_STRENGTHS).items()
              if name in ("knn", "probe")}
    if cell.settings.objective == "supervised":
        logits = extract_features(nn.Sequential(found.encoder, found.head), parts[2].images)
        return scores | {"accuracy": (logits.argmax(dim=1) == parts[2].labels).float().mean().item()}
    last = [row["top1"] for row in found.history[-10:]]
    scores["pairs_found"] = sum(last) / len(last)  # at the end of training, within the batch
    if cell.measure == "head":
        of_z = evaluate(nn.Sequential(found.encoder, found.head), *parts, strengths=PROBE_STRENGTHS)
        scores |= {"knn_z": of_z["knn"], "probe_z": of_z["probe"]}
    if cell.settings.one_branch:
        scores["neighbors"] = json.dumps(neighbors(found.encoder, parts[0], parts[2]))
    return scores


def neighbors(encoder: nn.Module, bank: ImageSet, asked: ImageSet, questions: int = 6, count: int = 4) -> list[list]:
    """Return the rows of the nearest `bank` images, by cosine similarity, of each of the first images asked for."""
    first, second = (F.normalize(extract_features(encoder, images), dim=1)
                     for images in (asked.images[:questions], bank.images))
    return (first @ second.T).topk(count, dim=1).indices.tolist()


def _knowledge(found: Pretrained, *parts: ImageSet) -> list[dict]:
    nets = {"pixels": nn.Flatten(), "h": found.encoder, "z": nn.Sequential(found.encoder, found.head)}
    questions = {name: [_asked(part, name) for part in parts] for name in (
        "colour or grey", "rotation", "original or noisy", "original or Sobel")}
    if parts[0].factors:
        questions |= {name: [_binned(part, parts[0], name) for part in parts] for name in FACTORS}
    questions["class"] = list(parts)
    rows = []
    for (question, (train, val, test)), (name, net) in product(questions.items(), nets.items()):
        accuracy = train_last_layers(net, train, val, hidden=256, steps=600).accuracy(test)
        rows.append({"question": question, "read from": name, "accuracy": accuracy, "chance": 1 / len(test.classes)})
    return rows


def _asked(part: ImageSet, question: str) -> ImageSet:
    """Return the images with a transform on some of them, and which one as their label; as many of each."""
    ways = 4 if question == "rotation" else 2
    labels = torch.randperm(len(part), generator=torch.Generator().manual_seed(1)) % ways
    images = part.images.float() / 255
    changed = images
    if question == "rotation":
        changed = rotate(images, labels)
    elif question == "colour or grey":
        changed = color_drop(images, torch.ones(len(part)))
    elif question == "original or noisy":
        changed = gaussian_noise(images, torch.full((len(part),), 0.1), generator=torch.Generator().manual_seed(2))
    else:
        changed = sobel(images, torch.ones(len(part)))
    images = torch.where((labels > 0)[:, None, None, None], changed, images)
    return ImageSet(part.name, (images * 255).round().byte(), labels, tuple(str(way) for way in range(ways)))


def _binned(part: ImageSet, train: ImageSet, factor: str) -> ImageSet:
    """Return the images with a quarter of a factor's range as their label, as many of `train` in each quarter."""
    borders = train.factors[factor].quantile(torch.tensor([0.25, 0.5, 0.75]))
    return ImageSet(part.name, part.images, torch.bucketize(part.factors[factor], borders), tuple("1234"))


def run_study(name: str, *, photos: str = "cifar10", data: tuple[str, ...] = DATA, seeds: int = 3, workers: int = 1,
              known: list[dict] = (), keep: Callable[[list[dict]], None] | None = None,
              progress: bool = True) -> list[dict]:
    """Return the rows of a study, those that are known already and those of the cells that are missing.

    Args:
        name: One of STUDIES.
        photos: See `run_cell`.
        data: "photos", "shapes" or both.
        seeds: How many.
        workers: Processes that train at the same time, one thread each; 1 trains here, with all threads.
        known: Rows that an earlier call left.
        keep: Called with all rows after each cell.
        progress: Whether to say how long it may take, and show a progress bar.

    Raises:
        ValueError: If the study is unknown, or known rows were made with other settings.
    """
    cells = [cell for seed in range(seeds) for cell in _study(name)(seed) if cell.data in data]
    done: dict[tuple, list[dict]] = {}
    for row in known:
        done.setdefault(tuple(str(row[column]) for column in ("data", *cells[0].about, "seed")), []).append(row)
    default = asdict(Settings())
    for cell in cells:
        for row in done.get(cell.key, []):
            if asdict(cell.settings) != default | json.loads(row["settings"]):
                raise ValueError(f"the known row {' '.join(cell.key)} was made with other settings; start another "
                                 f"table")
    missing = [cell for cell in cells if cell.key not in done]
    if missing and progress:
        hours, minutes = divmod(round(_estimate(missing, list(known), workers)), 60)
        print(f"{len(missing)} of {len(cells)} runs to do: about {hours} h {minutes:02} min with {workers} "
              f"worker{'s' * (workers > 1)}", flush=True)
    bar = tqdm(total=len(cells), initial=len(cells) - len(missing), desc=name, unit="run", disable=not progress,
               file=sys.stdout if "ipykernel" in sys.modules else None)
    for cell, rows in _trained(missing, photos, workers):
        done[cell.key] = rows
        bar.update()
        if keep:
            keep([row for each in done.values() for row in each])
    bar.close()
    return [row for each in done.values() for row in each]


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
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        waiting = {pool.submit(run_cell, cell, photos): cell for cell in cells}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _estimate(cells: list[Cell], known: list[dict], workers: int) -> float:
    """Return the minutes that the cells may take: by rows of the same study, or by a few steps taken now."""
    if known:
        views = sum(2 * int(row["images"]) * float(json.loads(row["settings"])["epochs"]) for row in known)
        each = sum(float(row["minutes"]) for row in known) / views
    else:
        some, settings = _parts("shapes", 2000)[0], _settings("shapes", 1, 0)
        threads = torch.get_num_threads()
        torch.set_num_threads(1 if workers > 1 else threads)
        each = 1.3 * pretrain(some, settings, progress=False, evaluations=0).card["seconds"] / 60 / (2 * len(some))
        torch.set_num_threads(threads)
    return each * sum(cell.views for cell in cells) / workers
