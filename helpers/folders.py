"""Folders and zips of images as people have them: what is in them, what it means, and the pictures
as bytes.
"""

import io
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from tqdm import tqdm

DECODER = 1  # raise it when decode_image changes: what is cached is then decoded again
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_SPLIT_FOLDERS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def list_files(path: Path) -> list[tuple[str, tuple]]:
    """Return (name inside, what tells whether it changed) of each file, sorted, hidden ones left
    out.
    """
    if path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                files = [
                    (info.filename, (info.CRC, info.file_size))
                    for info in archive.infolist()
                    if not info.is_dir()
                ]
        except (zipfile.BadZipFile, EOFError) as error:
            raise ValueError(
                f"{path} is not a zip that can be read ({error}); if a download broke off, fetch "
                "it again"
            ) from error
    else:
        files = [
            (file.relative_to(path).as_posix(), (file.stat().st_mtime_ns, file.stat().st_size))
            for file in path.rglob("*")
            if file.is_file()
        ]
    return sorted(
        entry
        for entry in files
        if not any(step.startswith((".", "__MACOSX")) for step in PurePosixPath(entry[0]).parts)
    )


def is_image(name: str) -> bool:
    """Return whether a file's ending is that of an image."""
    return name.lower().endswith(_IMAGE_ENDINGS)


def file_name(path: str, length: int = 24) -> str:
    """Return the name of a file without its folders; of a long name the beginning and the end."""
    name = PurePosixPath(path).name
    if len(name) <= length:
        return name
    head = length // 2
    tail = length - 1 - head
    return f"{name[:head]}…{name[-tail:]}"


def unsplit(steps: list[tuple[str, ...]]) -> tuple[list[str | None], list[tuple[str, ...]]]:
    """Return the split folder (or None) of each path, given by its steps, and the paths without it.

    Folders named train, val and test are splits if there are no others, or if train holds folders
    itself: beside bus and car, a plain train is a class.
    """
    outer = {step[0].lower() for step in steps if len(step) > 1}
    deep = any(len(step) > 2 and step[0].lower() == "train" for step in steps)
    if "train" not in outer or not (deep or outer <= _SPLIT_FOLDERS.keys()):
        return [None] * len(steps), steps
    parts = [_SPLIT_FOLDERS.get(step[0].lower()) if len(step) > 1 else None for step in steps]
    return parts, [step[1:] if part else step for part, step in zip(parts, steps, strict=True)]


def sort_out(
    path: Path, names: list[str]
) -> tuple[list, list[int] | None, tuple[str, ...], list[str]]:
    """Return split folder (or None), label and name of each image, as its path tells."""
    if not names:
        raise ValueError(f"{path} is empty; it should hold images, or one folder of images a class")
    images = [name for name in names if is_image(name)]
    if not images:
        raise ValueError(
            f"none of the files in {path} is an image (first of {len(names)}: {names[0]}); images "
            f"end in {' '.join(_IMAGE_ENDINGS)}"
        )
    parts, steps = unsplit(without_outer([PurePosixPath(name).parts for name in images]))
    found = list(zip(parts, steps, images, strict=True))
    if any(parts):
        found = _keep(path, found, lambda part, _: part, "outside train, val and test")
    if any(len(step) > 1 for _, step, _ in found):  # images beside class folders belong to no class
        found = _keep(path, found, lambda _, step: len(step) > 1, "outside the class folders")
    parts, steps, images = (list(column) for column in zip(*found, strict=True))
    classes = tuple(sorted({step[0] for step in steps if len(step) > 1}))
    if len(classes) < 2:  # one folder tells nothing apart
        return parts, None, (), images
    places = {name: index for index, name in enumerate(classes)}
    return parts, [places[step[0]] for step in steps], classes, images


def without_outer(steps: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return paths without outer folders that all of them share, which say nothing: of
    data/cat/1.jpg, cat/1.jpg.
    """
    while (
        all(len(step) > 1 for step in steps)
        and len({step[0] for step in steps}) == 1
        and max(map(len, steps)) > 2
    ):
        steps = [step[1:] for step in steps]
    return steps


def _keep(path: Path, found: list[tuple], wanted: Callable, where: str) -> list[tuple]:
    kept = [entry for entry in found if wanted(*entry[:2])]
    if len(kept) < len(found):
        warnings.warn(
            f"{len(found) - len(kept)} images in {path} lie {where} and are left out", stacklevel=6
        )
    return kept


class _Reader:
    """Gives the bytes of a file in a folder or zip; one zip handle serves all threads (zipfile
    locks its reads).
    """

    def __init__(self, path: Path):
        self.path, self.archive = path, zipfile.ZipFile(path) if path.is_file() else None

    def __call__(self, name: str) -> io.BytesIO:
        return io.BytesIO(
            self.archive.read(name) if self.archive else (self.path / name).read_bytes()
        )


def usual_size(path: Path, names: list[str]) -> int:
    """Return the median of the shorter sides of about 50 images, from 16 to 96 px."""
    read, sides = _Reader(path), []
    for name in names[:: max(1, len(names) // 50)]:
        try:
            sides.append(min(Image.open(read(name)).size))
        except Exception:
            continue
    return int(np.clip(np.median(sides), 16, 96)) if sides else 32


def decode_all(path: Path, names: list[str], size: int) -> tuple[Tensor, dict[int, str]]:
    """Return the images as uint8 (N, 3, size, size), and the reason for each place that could not
    be read.
    """
    read = _Reader(path)
    images = np.zeros((len(names), 3, size, size), np.uint8)
    bad: dict[int, str] = {}

    def decode(indices: range) -> int:
        for index in indices:
            try:
                images[index] = decode_image(read(names[index]), size)
            except UnidentifiedImageError:  # its text names an address in memory
                bad[index] = "empty, or no picture"
            except Exception as error:
                bad[index] = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        return len(indices)

    blocks = [range(start, min(start + 256, len(names))) for start in range(0, len(names), 256)]
    with (
        tqdm(
            desc=f"reading {path.name}",
            total=len(names),
            unit="image",
            disable=len(names) < 1000,
            leave=False,
        ) as bar,
        ThreadPoolExecutor() as pool,
    ):
        for done in pool.map(decode, blocks):
            bar.update(done)
    return torch.from_numpy(images), bad


def decode_image(file: io.BytesIO, size: int) -> np.ndarray:
    """Return a picture of any kind that Pillow reads as uint8 (3, size, size): upright, RGB, the
    square in its middle.

    Raises:
        OSError, ValueError, SyntaxError and others of Pillow's: If the file cannot be read as a
        picture.
    """
    image: Image.Image = Image.open(file)
    # lets JPEG decode at a half, a quarter or an eighth: large photos load faster
    image.draft("RGB", (size, size))
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
