"""Folders and zips of images as people have them: what is in them, what it means, and the pictures as bytes."""

import io
import os
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

DECODER = 1  # raise it when decode_image changes: what is cached is then decoded again
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def list_files(path: Path) -> list[tuple[str, tuple]]:
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


def is_image(name: str) -> bool:
    """Return whether a file's ending is that of an image."""
    return name.lower().endswith(_IMAGE_ENDINGS)


def split_folder(name: str) -> str | None:
    """Return which split a folder of this name holds, or None."""
    return _SPLIT_FOLDERS.get(name.lower())


def sort_out(path: Path, names: list[str]) -> tuple[list, list[int] | None, tuple[str, ...], list[str]]:
    """Return split folder (or None), label and name of each image, as its path tells."""
    if not names:
        raise ValueError(f"{path} is empty; it should hold images, or one folder of images a class")
    images = [name for name in names if is_image(name)]
    if not images:
        raise ValueError(f"none of the files in {path} is an image (first of {len(names)}: {names[0]}); images end in "
                         f"{' '.join(_IMAGE_ENDINGS)}")
    steps = [PurePosixPath(name).parts for name in images]
    while len({step[0] for step in steps}) == 1 and max(map(len, steps)) > 2:
        steps = [step[1:] for step in steps]  # NAME/train/cat/1.jpg and data/cat/1.jpg: the outer folder says nothing
    if any(len(step) > 1 for step in steps):  # images beside class folders belong to no class
        steps, images = _keep(path, steps, images, lambda step: len(step) > 1, "outside the class folders")
    parts: list = [None] * len(steps)
    if "train" in {step[0].lower() for step in steps}:
        steps, images = _keep(path, steps, images, lambda step: step[0].lower() in _SPLIT_FOLDERS,
                              "outside train, val and test")
        parts = [_SPLIT_FOLDERS[step[0].lower()] for step in steps]
        steps = [step[1:] for step in steps]
    classes = tuple(sorted({step[0] for step in steps if len(step) > 1}))
    if len(classes) < 2:  # one folder tells nothing apart
        return parts, None, (), images
    places = {name: index for index, name in enumerate(classes)}
    return parts, [places[step[0]] for step in steps], classes, images


def _keep(path: Path, steps: list[tuple], images: list[str], wanted, where: str) -> tuple[list[tuple], list[str]]:
    kept = [(step, image) for step, image in zip(steps, images, strict=True) if wanted(step)]
    if len(kept) < len(steps):
        warnings.warn(f"{len(steps) - len(kept)} images in {path} lie {where} and are left out", stacklevel=6)
    return [step for step, _ in kept], [image for _, image in kept]


class _Reader:
    """Gives the bytes of a file in a folder or zip; one zip handle serves all threads (zipfile locks its reads)."""

    def __init__(self, path: Path):
        self.path, self.archive = path, zipfile.ZipFile(path) if path.is_file() else None

    def __call__(self, name: str) -> io.BytesIO:
        return io.BytesIO(self.archive.read(name) if self.archive else (self.path / name).read_bytes())


def usual_size(path: Path, names: list[str]) -> int:
    """Return the median of the images' shorter sides, from 16 to 96 px, as about 50 of them tell."""
    read, sides = _Reader(path), []
    for name in names[:: max(1, len(names) // 50)]:
        try:
            sides.append(min(Image.open(read(name)).size))
        except Exception:
            continue
    return int(np.clip(np.median(sides), 16, 96)) if sides else 32


def decode_all(path: Path, names: list[str], size: int) -> tuple[Tensor, dict[int, str]]:
    """Return the images as uint8 (N, 3, size, size), and the reason for each place that could not be read."""
    read = _Reader(path)
    images = np.zeros((len(names), 3, size, size), np.uint8)
    bad: dict[int, str] = {}

    def decode(indices: range) -> int:
        for index in indices:
            try:
                images[index] = decode_image(read(names[index]), size)
            except Exception as error:
                bad[index] = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        return len(indices)

    blocks = [range(start, min(start + 256, len(names))) for start in range(0, len(names), 256)]
    with tqdm(desc=f"reading {path.name}", total=len(names), unit="image", disable=len(names) < 1000,
              leave=False) as bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(decode, blocks):
            bar.update(done)
    return torch.from_numpy(images), bad


def decode_image(file: io.BytesIO, size: int) -> np.ndarray:
    """Return a picture of any kind that Pillow reads as uint8 (3, size, size): upright, RGB, the square in its middle.

    Raises:
        OSError, ValueError, SyntaxError and others of Pillow's: If the file cannot be read as a picture.
    """
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
