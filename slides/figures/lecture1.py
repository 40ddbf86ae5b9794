"""Figures of lecture 1: both families, what they teach, and what came after."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from helpers.augmentations import Augment
from helpers.data import load, sample_photos
from helpers.metrics import mean_interval
from helpers.plotting import (
    CHOSEN,
    OTHER,
    POSITIVE,
    TEXT,
    VIEW_A,
    VIEW_B,
    draw_similarities,
    figure,
)
from helpers.results import read_results
from helpers.simclr import load_pretrained, settings_for
from helpers.widgets.canvas import Canvas
from helpers.widgets.circle import IMAGES, CircleExplorer, draw_circle
from helpers.widgets.explorer import WIDTH
from helpers.widgets.self_prediction import (
    ColorizationExplorer,
    DenoisingExplorer,
    JigsawExplorer,
    MaskedExplorer,
    RotationExplorer,
)
from slides.figures.common import explorer_picture


def labels_are_scarce() -> bytes:
    """Sixty pictures, five of which have a label."""
    shapes, canvas = load("shapes", "train", limit=60), Canvas(WIDTH, 400)
    for k in range(60):
        x, y = 16 + 78 * (k % 12), 6 + 78 * (k // 12)
        labelled = k in (5, 20, 33, 42, 57)
        canvas.image(shapes.images[k], x, y, 66, frame=CHOSEN if labelled else None, line=4)
        if labelled:
            canvas.rectangle(x, y + 46, 66, 20, CHOSEN)
            canvas.text(
                x + 33, y + 56, shapes.classes[int(shapes.labels[k])], 14, anchor="mm", bold=True
            )
    return canvas.png()


def mean_of_possibilities() -> bytes:
    """Three pictures that fit what is seen, and their mean."""
    shapes, canvas = load("shapes", "train"), Canvas(WIDTH, 300)
    chosen = [
        int((shapes.labels == shapes.classes.index(name)).nonzero()[3])
        for name in ("star", "disc", "heart")
    ]
    pictures = shapes.images[chosen].float() / 255
    for k, picture in enumerate([*pictures, pictures.mean(dim=0)]):
        x = 20 + 240 * k + (20 if k == 3 else 0)
        canvas.image(picture, x, 20, 190, frame=POSITIVE if k == 3 else None, line=5)
        canvas.text(
            x + 95,
            250,
            "their mean" if k == 3 else "possible",
            26,
            POSITIVE if k == 3 else TEXT,
            "mm",
            bold=k == 3,
        )
    return canvas.png()


def rotation() -> bytes:
    """A photo turned by a quarter, and what the network says."""
    explorer = RotationExplorer()
    explorer.angle.value = 90
    return explorer_picture(explorer)


def family_accuracy() -> Figure:
    """kNN after each pretext task and SimCLR, on photos and on shapes."""
    rows = read_results("pretext")
    sets = list(dict.fromkeys(row["data"] for row in rows))
    fig, axes = figure(11, 4.6, 1, len(sets))
    for ax, data in zip(axes[0], sets, strict=True):
        names = list(dict.fromkeys(row["condition"] for row in rows if row["data"] == data))
        found = {
            name: mean_interval(
                [
                    100 * float(row["knn"])
                    for row in rows
                    if row["data"] == data and row["condition"] == name
                ]
            )
            for name in names
        }
        names = sorted(names, key=lambda name: found[name][0])
        for k, name in enumerate(names):
            mean, width = found[name]
            color = (
                VIEW_A
                if name == "SimCLR"
                else OTHER
                if name in ("raw pixels", "random encoder")
                else VIEW_B
            )
            width = 0 if math.isnan(width) else width  # a single run has no interval
            ax.barh(
                k,
                mean,
                xerr=width or None,
                color=color,
                hatch="" if name != "SimCLR" else "//",
                edgecolor="white",
                capsize=3,
            )
            ax.text(mean + width + 1, k, f"{mean:.0f}", va="center", fontsize=14, color=TEXT)
        ax.set_yticks(range(len(names)), names, fontsize=14)
        ax.set_title(f"{data}: kNN, % of test images", loc="left", fontsize=15, color=TEXT)
        ax.set_xlim(0, 100)
    return fig


def pairs_of_views() -> bytes:
    """Three images and two views of each."""
    images = sample_photos(128).images[[0, 3, 2]]
    augment = Augment(settings_for("laptop", "cifar10", image_size=128, crop_min=0.3).policy())
    views = augment(images.repeat(2, 1, 1, 1), torch.Generator().manual_seed(6))
    canvas = Canvas(WIDTH, 400)
    for k in range(3):
        x = 30 + 315 * k
        canvas.image(images[k], x + 75, 4, 120)
        for n, (view, color) in enumerate(((views[k], VIEW_A), (views[k + 3], VIEW_B))):
            canvas.arrow(x + 135, 132, x + 60 + 150 * n, 182, OTHER, 4)
            canvas.image(view, x + 150 * n, 192, 120, frame=color, line=5)
        canvas.line([(x + 60, 340), (x + 210, 340)], POSITIVE, 6)
        canvas.text(x + 135, 368, "similar", 24, POSITIVE, "mm", bold=True)
    return canvas.png()


def jigsaw() -> bytes:
    """Tiles of the temple, on which the network errs."""
    explorer = JigsawExplorer()
    explorer.photo.choice.value = "temple"
    return explorer_picture(explorer)


def circle_pulled() -> bytes:
    """Two ways to bring partners together: where a descent from the start ends, and all points in
    one place.
    """
    start = CircleExplorer().angles
    first, second = start[:IMAGES], start[IMAGES:]
    half = (((second - first + 180) % 360) - 180) / 2  # along the shorter arc
    canvas = Canvas(WIDTH, 470)
    one_place = torch.tensor([30.0, 37.0, 44.0, 51.0])
    panels = (
        (240, "a descent: every pair has met", first + half),
        (710, "as good: all in one place", one_place),
    )
    for x, title, angles in panels:
        canvas.text(x, 22, title, 24, anchor="mm", bold=True)
        draw_circle(canvas, x, 260, 160, angles.repeat(2).tolist(), names=angles is not one_place)
    return canvas.png()


def _circle(steps: int = 0) -> bytes:
    explorer = CircleExplorer()
    for _ in range(steps // 25):
        explorer.press(explorer.many)
    return explorer_picture(explorer, width=470)


def similarities() -> Figure:
    """Similarities of held-out pairs before and after training, as in notebook 01."""
    held_out = load("shapes", "val", limit=500).images
    nets = {
        "before training": load_pretrained("shapes-tiny-epoch0"),
        "after training": load_pretrained("shapes-tiny"),
    }
    augment = Augment(nets["after training"].settings.policy())
    views = [augment(held_out, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    groups = {}
    with torch.inference_mode():
        for name, net in nets.items():
            a, b = (net.head(net.encoder(view)) for view in views)
            groups[name] = F.cosine_similarity(a, b), F.cosine_similarity(a, b.roll(1, 0))
    return draw_similarities(groups)


# What keeps each from collapse, by the marker's colour: negatives, clusters, neither.
TIMELINE = (
    (2019, "MoCo", VIEW_B),
    (2020, "SimCLR", VIEW_B),
    (2020, "SupCon (with labels)", VIEW_B),
    (2020, "SwAV", CHOSEN),
    (2020, "BYOL", POSITIVE),
    (2020, "SimSiam", POSITIVE),
    (2021, "Barlow Twins", POSITIVE),
    (2021, "VICReg", POSITIVE),
    (2021, "DINO", POSITIVE),
)


def timeline() -> bytes:
    """Variants of contrastive learning by year; the marker tells what keeps them from collapse."""
    canvas, seen = Canvas(WIDTH, 400), {}
    canvas.arrow(30, 330, 940, 330, OTHER, 4)
    kinds = {VIEW_B: "circle", CHOSEN: "square", POSITIVE: "triangle"}
    for year in range(2019, 2022):
        canvas.text(140 + 290 * (year - 2019), 360, str(year), 24, anchor="mm", bold=True)
    for year, name, color in TIMELINE:
        row = seen.setdefault(year, 0)
        seen[year] += 1
        x, y = 100 + 290 * (year - 2019), 296 - 52 * row
        canvas.marker(x, y, kinds[color], 11, color)
        canvas.text(x + 20, y, name, 22, TEXT, bold=name == "SimCLR")
    for k, (color, text) in enumerate(
        ((VIEW_B, "negatives"), (CHOSEN, "clusters"), (POSITIVE, "neither"))
    ):
        canvas.marker(40 + 200 * k, 20, kinds[color], 10, color)
        canvas.text(58 + 200 * k, 20, text, 20, "#555555")
    return canvas.png()


FIGURES: dict[str, Callable[[], bytes | Figure]] = {
    "labels_are_scarce": labels_are_scarce,
    "masked": lambda: explorer_picture(MaskedExplorer()),
    "mean_of_possibilities": mean_of_possibilities,
    "denoising": lambda: explorer_picture(DenoisingExplorer()),
    "colorization": lambda: explorer_picture(ColorizationExplorer()),
    "rotation": rotation,
    "jigsaw": jigsaw,
    "family_accuracy": family_accuracy,
    "pairs_of_views": pairs_of_views,
    "circle_start": _circle,
    "circle_pulled": circle_pulled,
    "circle_end": lambda: _circle(steps=100),
    "similarities": similarities,
    "timeline": timeline,
}
