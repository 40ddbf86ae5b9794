"""A folder of one's own photos, however clumsy: read once, copies left out, labels from folder
names or from clicks.
"""

import warnings
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

from helpers.data import ImageSet
from helpers.folders import decode_all, is_image, list_files, unsplit, without_outer
from helpers.metrics import proportion_interval
from helpers.results import markdown_table
from helpers.settings import Settings
from helpers.shapes import CLASSES, render_shapes
from helpers.transfer import OPTIONS, compare

LARGE = 96  # px: as a person looks at them
# Two pictures of 16 x 16 px are taken for one if they differ by less, of 255: on average, and
# anywhere. (Of Flowers-17, photos saved anew differ by less than 1.3 on average, others by more
# than 18.)
COPY, SPOT = 2.0, 12.0
# standard deviation of a usual photo; in a plainer one, such as a letter on white, less is a
# difference
RICH = 50.0
VIEWS_A_SECOND = 1100  # that the network `small` trains with on two cores, about


@dataclass
class OwnImages:
    """Photos with their names, and what was noticed while reading them.

    Attributes:
        name: Of the folder.
        names: N paths inside it.
        large: uint8, shape (N, 3, 96, 96), to look at.
        labels: int64, shape (N,), places in `classes`, or -1 where the folder tells none.
        classes: Names of class folders.
        notes: Sentences on what was left out and why.
    """

    name: str
    names: list[str]
    large: Tensor
    labels: Tensor
    classes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def at(self, size: int) -> Tensor:
        """Return the images as uint8 (N, 3, size, size)."""
        if size == LARGE:
            return self.large
        smaller = [
            F.interpolate(part.float(), size, mode="bilinear", antialias=True)
            for part in self.large.split(512)
        ]
        return torch.cat(smaller).round().clamp(0, 255).byte()

    def labelled(self, labels: Tensor, classes: tuple[str, ...], size: int) -> ImageSet:
        """Return the images whose label is not -1, for training and testing."""
        rows = (labels >= 0).nonzero()[:, 0]
        return ImageSet(self.name, self.at(size)[rows], labels[rows], classes)


def open_images(path: str | Path | None = None) -> OwnImages:
    """Read a folder or zip of photos, or, where none is given or it cannot be used, the course's
    own samples.

    Args:
        path: Class folders, plain images, or a mixture. Folders named train, val and test are
            looked through.

    Returns:
        Whatever could be read. Why something was left out, or why the samples are shown instead, is
        in `notes`.
    """
    path = str(path or "").strip().strip("\"'")  # as it is pasted
    if not path:
        return sample_images()
    try:
        found = _read(Path(path).expanduser())
        if len(found) < 3:
            raise ValueError(
                " ".join(
                    [
                        f"{path} holds fewer than 3 different images: give at least 3, better 50 "
                        "or more.",
                        *found.notes,
                    ]
                )
            )
        if len(found) < 50:
            found.notes.append(
                f"{len(found)} images are few to learn from: take 50 or more where you can."
            )
        return found
    except (OSError, ValueError) as error:
        samples = sample_images()
        samples.notes = [f"{str(error).rstrip('.')}. These are the course's samples instead."]
        return samples


def sample_images() -> OwnImages:
    """Return 260 pictures that need no download: tiles of scikit-learn's two photos, and three
    rendered shapes.
    """
    kinds, parts = ("temple", "flower", "star", "heart", "arrow"), []
    for photo in load_sample_images().images:
        whole = torch.from_numpy(photo.copy()).permute(2, 0, 1).float()
        tiles = torch.stack(
            [whole[:, y : y + 64, x : x + 64] for y in range(0, 364, 64) for x in range(0, 577, 64)]
        )
        rich = tiles.flatten(1).std(dim=1).topk(40).indices.sort().values  # not the plain sky
        parts.append(F.interpolate(tiles[rich], LARGE, mode="bilinear").round().byte())
    images, shape_labels, _ = render_shapes(800, LARGE, seed=11)
    parts += [
        torch.from_numpy(images[shape_labels == CLASSES.index(kind)][:60]) for kind in kinds[2:]
    ]
    order = torch.randperm(sum(map(len, parts)), generator=torch.Generator().manual_seed(0))
    names = [
        f"{kind}/{k + 1:02}"
        for kind, part in zip(kinds, parts, strict=True)
        for k in range(len(part))
    ]
    labels = torch.repeat_interleave(
        torch.arange(len(parts)), torch.tensor([len(part) for part in parts])
    )
    return OwnImages(
        "samples", [names[row] for row in order], torch.cat(parts)[order], labels[order], kinds
    )


def _read(path: Path) -> OwnImages:
    if not path.exists():
        raise FileNotFoundError(
            f"there is no folder or zip {str(path)!r} (looked from {Path.cwd()})"
        )
    if path.is_file() and is_image(path.name):
        raise ValueError(f"{path} is a single image; give the folder that it is in")
    found = [name for name, _ in list_files(path)]
    names = [name for name in found if is_image(name)]
    notes = _notes_on_others([name for name in found if not is_image(name)])
    if not names:
        told = " ".join(notes)
        raise ValueError(
            f"{path} holds no images; they end in .jpg, .png, .webp and the like. {told}".strip()
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        large, bad = decode_all(path, names, LARGE)
    if len(bad) == len(names):
        raise ValueError(
            f"none of the {len(names)} images in {path} could be read (first: {names[0]}, {bad[0]})"
        )
    if bad:
        told = _some([f"{names[k]} ({why})" for k, why in sorted(bad.items())])
        notes.append(f"Could not be read: {told}.")
    read = [k for k in range(len(names)) if k not in bad]
    labels, _ = _labels([names[row] for row in read])
    order = [
        row for row, label in zip(read, labels, strict=True) if label >= 0
    ]  # of copies the labelled one is kept
    order += [row for row, label in zip(read, labels, strict=True) if label < 0]
    copies = {order[k] for k in find_copies(large[order])}
    if copies:
        told = _some([names[row] for row in sorted(copies)])
        notes.append(
            f"Copies of others ({len(copies)}), left out so that none both learns and tests: "
            f"{told}."
        )
    rows = [row for row in read if row not in copies]
    names = [names[row] for row in rows]
    labels, classes = _labels(names)
    if classes and (labels < 0).any():
        told = _some([name for name, label in zip(names, labels, strict=True) if label < 0])
        notes.append(f"Outside the class folders, learned from without a label: {told}.")
    whole = path.resolve()
    return OwnImages(
        whole.stem if path.is_file() else whole.name, names, large[rows], labels, classes, notes
    )


def _notes_on_others(names: list[str]) -> list[str]:
    endings = Counter(PurePosixPath(name).suffix.lower() or "no ending" for name in names)
    if not endings:
        return []
    told = ", ".join(f"{count} with {ending}" for ending, count in endings.most_common(3))
    way_out = "; export .heic as JPEG" if ".heic" in endings else ""
    return [f"Files that are no images or cannot be read here: {told}{way_out}."]


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


def find_copies(images: Tensor) -> set[int]:
    """Return the rows of images (N, 3, H, W) that look like an earlier one, also if saved anew or
    resized.
    """
    small = F.interpolate(images.float(), 16, mode="area").flatten(1)  # (N, 768)
    copies: set[int] = set()
    for start in range(0, len(small), 256):
        part = small[start : start + 256]
        rich = (part.std(dim=1, keepdim=True) / RICH).clamp(max=1)
        near = (torch.cdist(part, small, p=1) / small.shape[1] <= COPY * rich) & (
            torch.cdist(part, small, p=torch.inf) <= SPOT * rich
        )
        earlier = near & (
            torch.arange(len(small)) < torch.arange(start, start + len(near))[:, None]
        )
        copies |= {start + int(k) for k in earlier.any(dim=1).nonzero()[:, 0]}
    return copies


def _labels(names: list[str]) -> tuple[Tensor, tuple[str, ...]]:
    parts, steps = unsplit(without_outer([PurePosixPath(name).parts for name in names]))
    if any(parts):  # what lies beside them is of no class
        steps = [step if part else step[-1:] for part, step in zip(parts, steps, strict=True)]
    classes = tuple(sorted({step[0] for step in steps if len(step) > 1}))
    if len(classes) < 2:
        return torch.full((len(names),), -1), ()
    return torch.tensor(
        [classes.index(step[0]) if len(step) > 1 else -1 for step in steps]
    ), classes


def go_on_settings(start: Settings, count: int, seconds: float = 90, **changes) -> Settings:
    """Return settings to continue pretraining on `count` images for about so many seconds on two
    cores.

    The rate stays that of a new start: on 500 photos of Flowers-17 and of Imagenette, a third or a
    tenth of it did not do better.

    Args:
        start: Those of the encoder to go on from.
        count: Number of images, at least 2: NT-Xent compares.
        seconds: Sets the number of epochs, from 1 to 200.
        changes: Of other settings.
    """
    epochs = float(min(200, max(1, round(seconds * VIEWS_A_SECOND / (2 * count)))))
    return replace(
        start,
        batch_size=2 ** min(7, count.bit_length() - 1),
        epochs=epochs,
        warmup_epochs=epochs / 20,
        **changes,
    )


class TooFew(ValueError):
    """There are not enough labels to learn, to choose and to test."""


def compare_few(
    encoder: nn.Module,
    images: ImageSet,
    *,
    options: tuple[str, ...] = tuple(OPTIONS),
    learn: int = 5,
    seeds: int = 3,
    tries: int = 2,
    steps: int | None = 100,
) -> list[dict]:
    """Compare the transfer options with few labels: each seed deals the images anew to learning,
    choosing and testing.

    Returns the rows of `compare`, as `read_results` gives them. Of every class a fifth, at most 5,
    choose, at most `learn` of the next two fifths are learned from, and all others test. The deals
    share images, so that an interval over seeds is rather too narrow.

    Raises:
        TooFew: If there are fewer than two classes, or a class has fewer than three labelled
            images.
    """
    counts = (
        []
        if images.labels is None
        else images.labels.bincount(minlength=len(images.classes)).tolist()
    )
    few = [
        f"{name} has {count}"
        for name, count in zip(images.classes, counts, strict=True)
        if count < 3
    ]
    if len(images.classes) < 2 or few:
        raise TooFew(
            "to learn, to choose and to test, three labelled images of each of at least two "
            "classes are needed" + (f"; {', '.join(few)}" if few else "")
        )
    rows = []
    for seed in range(seeds):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        parts: dict[str, list[Tensor]] = {"train": [], "val": [], "test": []}
        for label, count in enumerate(counts):
            own = order[images.labels[order] == label]
            chooses = max(1, min(5, count // 5))
            learns = max(1, min(learn, 2 * count // 5))
            for name, part in zip(
                parts, own.split([learns, chooses, count - learns - chooses]), strict=True
            ):
                parts[name].append(part)
        dealt = (images.subset(torch.cat(chosen)) for chosen in parts.values())
        rows += compare(
            encoder,
            *dealt,
            labels=(None,),
            options=options,
            seeds=(seed,),
            tries=tries,
            steps=steps,
            progress=False,
        )
    return [{name: str(value) for name, value in row.items()} for row in rows]


def few_table(rows: list[dict]) -> str:
    """Return a Markdown table of `compare_few`: an option a line, its accuracy the mean over the
    deals.

    Brackets hold the 95% interval that the test images of one deal allow (Wilson's): deals overlap,
    so that an interval over three of them says nothing, and it would reach above 100%.
    """
    lines = []
    for option in dict.fromkeys(row["option"] for row in rows):
        deals = [row for row in rows if row["option"] == option]
        accuracy = sum(float(row["accuracy"]) for row in deals) / len(deals)
        seconds = sum(float(row["seconds"]) for row in deals) / len(deals)
        tested = int(deals[0]["test_images"])
        low, high = proportion_interval(round(accuracy * tested), tested)
        figure = f"{accuracy:.1%} ({low:.0%} to {high:.0%})"
        lines.append([option, deals[0]["train_images"], tested, figure, f"{seconds:.1f}"])
    titles = ("option", "trained on", "tested on", "test accuracy", "seconds")
    return markdown_table(titles, lines)
