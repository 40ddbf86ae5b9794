"""Figures of lecture 2: the frame of SimCLR in steps, the matrix of similarities in steps, and what
comes after.
"""

from dataclasses import replace
from functools import lru_cache, partial

import torch
from torch import Tensor

from helpers.augmentations import Augment, Policy
from helpers.data import load, sample_photos
from helpers.losses import cosine_similarity, nt_xent
from helpers.plotting import CHOSEN, OTHER, POSITIVE, TEXT, VIEW_A, VIEW_B
from helpers.simclr import load_pretrained, settings_for
from helpers.widgets.angle import AngleExplorer
from helpers.widgets.canvas import Canvas
from helpers.widgets.explorer import WIDTH
from helpers.widgets.histograms import HistogramExplorer
from helpers.widgets.matrix import MatrixExplorer
from helpers.widgets.transforms import TransformsExplorer
from slides.figures.common import explorer_picture

TAU = 0.5  # of the batch on the slides: its numbers are easy to follow
SOFT = "#F2F2F2"
SEED = 12  # a batch in which one partner is found easily, and one is not


def pipeline(stage: int) -> bytes:
    """The way from an image to the loss, up to a stage: 1 image, 2 views, 3 encoder, 4 h, 5 head, 6
    z, 7 loss.
    """
    image = sample_photos(96).images[3]
    views = Augment(settings_for("laptop", "cifar10", image_size=96, crop_min=0.3).policy())(
        image.repeat(2, 1, 1, 1), torch.Generator().manual_seed(3)
    )
    canvas = Canvas(WIDTH, 380)
    canvas.image(image, 14, 140, 100)
    canvas.text(64, 262, "image", 22, anchor="mm")
    for y, view, color in ((50, views[0], VIEW_A), (230, views[1], VIEW_B)):
        if stage >= 2:
            canvas.arrow(122, 190, 168, y + 50, OTHER, 4)
            canvas.image(view, 176, y, 100, frame=color, line=5)
        if stage >= 3:
            canvas.arrow(286, y + 50, 326, y + 50, OTHER, 4)
            canvas.polygon([(334, y), (434, y + 20), (434, y + 80), (334, y + 100)], SOFT, TEXT, 2)
            canvas.text(384, y + 50, "f", 34, TEXT, "mm", bold=True)
        if stage >= 4:
            canvas.arrow(442, y + 50, 482, y + 50, OTHER, 4)
            _vector(canvas, 492, y, 10, "h")
        if stage >= 5:
            canvas.arrow(526, y + 50, 566, y + 50, OTHER, 4)
            canvas.polygon(
                [(574, y + 15), (644, y + 28), (644, y + 72), (574, y + 85)], SOFT, TEXT, 2
            )
            canvas.text(609, y + 50, "g", 34, TEXT, "mm", bold=True)
        if stage >= 6:
            canvas.arrow(652, y + 50, 692, y + 50, OTHER, 4)
            _vector(canvas, 702, y + 20, 6, "z")
    if stage >= 2:
        canvas.text(226, 20, "two views", 22, anchor="mm")
    if stage >= 3:
        canvas.text(384, 190, "the same weights", 20, "#555555", "mm")
    if stage >= 7:
        for y in (100, 280):
            canvas.arrow(736, y, 800, 190 + (y - 190) / 5, POSITIVE, 5)
        canvas.text(880, 172, "NT-Xent", 28, POSITIVE, "mm", bold=True)
        canvas.text(880, 206, "find the partner", 18, "#555555", "mm")
    return canvas.png()


def _vector(canvas: Canvas, x: float, y: float, count: int, name: str) -> None:
    for k in range(count):
        canvas.rectangle(x, y + 10 * k, 24, 10, SOFT, TEXT, 1)
    canvas.text(x + 12, y - 16, name, 26, TEXT, "mm", bold=True)


@lru_cache
def batch() -> tuple[Tensor, Tensor]:
    """Return six views of three images, and their projections by the encoder that ships: (6, 3, 32,
    32), (6, 128).
    """
    net, shapes = load_pretrained("shapes-tiny"), load("shapes", "val")
    rows = [
        int((shapes.labels == shapes.classes.index(name)).nonzero()[k])
        for k, name in enumerate(("star", "heart", "arrow"))
    ]
    # so that they can be told apart on a slide
    policy = replace(net.settings.policy(), gray_p=0.0, color_strength=0.6)
    views = Augment(policy)(
        shapes.images[rows].repeat(2, 1, 1, 1), torch.Generator().manual_seed(SEED)
    )
    with torch.inference_mode():
        return views, net.head(net.encoder(views))


def matrix(stage: int) -> bytes:
    """The matrix of a batch of three images in steps.

    1 the views, 2 their z, 3 one similarity, 4 one row, 5 all, 6 the diagonal taken out, 7 the
    partners, 8 one row's probabilities, 9 its loss, 10 all losses and their mean.
    """
    views, z = batch()
    similarity = cosine_similarity(z)
    canvas, side, left, top = Canvas(WIDTH, 440), 56, 190, 66
    names = [f"{letter}{view}" for view in (1, 2) for letter in "ABC"]
    for k in range(6):
        color = VIEW_A if k < 3 else VIEW_B
        y = top + side * k
        canvas.image(views[k], 70, y + 3, 50, frame=color)
        canvas.text(40, y + 28, names[k], 22, color, "mm", bold=True)
        if stage >= 2:
            for n in range(5):
                canvas.rectangle(136 + 8 * n, y + 20, 8, 16, SOFT, TEXT, 1)
        if stage >= 3:
            canvas.image(views[k], left + side * k + 5, 8, 46, frame=color, line=2)
    shown = {3: [(0, 1)], 4: [(0, k) for k in range(6)]}.get(
        stage, [(i, k) for i in range(6) for k in range(6)]
    )
    for row, column in shown if stage >= 3 else []:
        _cell(
            canvas,
            left + side * column,
            top + side * row,
            side,
            float(similarity[row, column]),
            out=stage >= 6 and row == column,
            partner=stage >= 7 and abs(row - column) == 3,
        )
    if stage >= 8:
        _row_of_loss(canvas, similarity, stage)
    return canvas.png()


def _cell(
    canvas: Canvas, x: float, y: float, side: float, value: float, out: bool, partner: bool
) -> None:
    if out:
        canvas.rectangle(x + 1, y + 1, side - 2, side - 2, "#FFFFFF", "#BBBBBB", 1)
        canvas.line([(x + 8, y + 8), (x + side - 8, y + side - 8)], OTHER, 2)
        return
    grey = round(255 - 190 * max(value, 0))
    canvas.rectangle(x + 1, y + 1, side - 2, side - 2, f"#{grey:02X}{grey:02X}{grey:02X}")
    canvas.text(
        x + side / 2, y + side / 2, f"{value:.2f}", 16, "white" if grey < 140 else TEXT, "mm"
    )
    if partner:
        canvas.rectangle(x, y, side, side, None, POSITIVE, 4)


def _row_of_loss(canvas: Canvas, similarity: Tensor, stage: int) -> None:
    logits = (similarity / TAU).fill_diagonal_(-torch.inf)
    probabilities = logits.softmax(dim=1)
    left, top, side = 560, 66, 56
    canvas.rectangle(186, top - 2, 344, side + 4, None, CHOSEN, 4)
    if stage < 10:
        canvas.text(left, top + 8, f"row A1: softmax of s / τ, τ = {TAU}", 20)
        for k in range(6):
            p, partner = float(probabilities[0, k]), k == 3
            y = top + 42 + 34 * k
            name = f"{'ABC'[k % 3]}{1 + k // 3}"
            canvas.text(left, y + 12, name, 18, POSITIVE if partner else TEXT, bold=partner)
            canvas.bar(
                left + 40,
                y,
                230,
                24,
                p,
                POSITIVE if partner else OTHER,
                "out" if k == 0 else f"{p:.3f}",
            )
    if stage == 9:
        p = float(probabilities[0, 3])
        canvas.text(
            left,
            top + 276,
            f"loss of A1 = −log {p:.3f} = {-torch.log(probabilities[0, 3]):.2f}",
            22,
            POSITIVE,
            bold=True,
        )
    if stage == 10:
        partner = (torch.arange(6) + 3) % 6
        losses = -torch.log(probabilities[torch.arange(6), partner])
        canvas.text(left, 30, "loss of each row", 20)
        for k, value in enumerate(losses.tolist()):
            p = float(probabilities[k, partner[k]])
            canvas.text(left + 20, top + side * (k + 0.5), f"−log {p:.3f} = {value:.2f}", 22)
        canvas.text(
            left + 20,
            418,
            f"mean: NT-Xent = {nt_xent(batch()[1], TAU):.2f}",
            26,
            POSITIVE,
            bold=True,
        )


def angle(degrees: int) -> bytes:
    """Two arrows at an angle, and their cosine similarity."""
    explorer = AngleExplorer()
    explorer.angle.value = degrees
    return explorer_picture(explorer, height=350)


def histograms(color: bool) -> bytes:
    """Crops of two images and their histograms, without and with colour distortion."""
    explorer = HistogramExplorer()
    explorer.data.value = "shapes-textured"
    explorer.color.value = color
    return explorer_picture(explorer)


def sixteen_views() -> bytes:
    """Sixteen views of one photo."""
    photo = sample_photos(128).images[3]
    views = Augment(Policy(size=96))(photo.expand(16, -1, -1, -1), torch.Generator().manual_seed(0))
    canvas = Canvas(WIDTH, 250)
    for k, view in enumerate(views):
        canvas.image(view, 12 + 118 * (k % 8), 8 + 122 * (k // 8), 106, frame=VIEW_A)
    return canvas.png()


def option(number: int) -> bytes:
    """What is trained in option 1, 2 or 3: amber is trained, grey is frozen."""
    canvas, y = Canvas(WIDTH, 300), 110
    trained = number == 1
    image = load("shapes", "val").images[3]
    canvas.image(image, 30, y, 100)
    canvas.text(80, y + 124, "few images", 20, anchor="mm")
    canvas.text(80, y + 148, "with labels", 20, anchor="mm")
    canvas.arrow(142, y + 50, 196, y + 50, OTHER, 4)
    encoder = [(206, y - 20), (346, y + 10), (346, y + 90), (206, y + 120)]
    canvas.polygon(encoder, CHOSEN if trained else "#D9D9D9", TEXT, 2)
    canvas.text(276, y + 50, "f", 44, TEXT, "mm", bold=True)
    canvas.text(276, y - 44, "trained" if trained else "frozen", 22, TEXT, "mm", bold=True)
    canvas.arrow(356, y + 50, 410, y + 50, OTHER, 4)
    for k in range(10):
        canvas.rectangle(420, y + 10 * k, 26, 10, SOFT, TEXT, 1)
    canvas.text(433, y - 18, "h", 28, TEXT, "mm", bold=True)
    canvas.arrow(456, y + 50, 510, y + 50, OTHER, 4)
    if number == 3:
        canvas.rectangle(520, y - 10, 150, 120, SOFT, TEXT, 2)
        canvas.text(595, y + 34, "a table", 22, TEXT, "mm")
        canvas.text(595, y + 66, "of vectors", 22, TEXT, "mm")
        canvas.arrow(680, y + 50, 724, y + 50, OTHER, 4)
    x = 734 if number == 3 else 520
    canvas.rectangle(x, y + 5, 190, 90, CHOSEN, TEXT, 2)
    canvas.text(
        x + 95, y + 38, "new classifier" if number == 3 else "new layer", 22, TEXT, "mm", bold=True
    )
    canvas.text(x + 95, y + 68, "(any kind)" if number == 3 else "trained", 20, TEXT, "mm")
    if number < 3:
        canvas.arrow(x + 200, y + 50, x + 254, y + 50, OTHER, 4)
        canvas.text(x + 266, y + 50, "class", 26, TEXT, "lm", bold=True)
    return canvas.png()


def _matrix_explorer(epoch: int) -> bytes:
    explorer = MatrixExplorer()
    explorer.epoch.value = epoch
    return explorer_picture(explorer, width=510, height=525)


FIGURES = {
    **{f"pipeline_{stage}": partial(pipeline, stage) for stage in range(1, 8)},
    **{f"matrix_{stage}": partial(matrix, stage) for stage in range(1, 11)},
    **{f"angle_{degrees}": partial(angle, degrees) for degrees in (40, 90, 170)},
    "histograms_without": partial(histograms, False),
    "histograms_with": partial(histograms, True),
    "transforms": lambda: explorer_picture(TransformsExplorer()),
    "sixteen_views": sixteen_views,
    "matrix_untrained": partial(_matrix_explorer, 0),
    "matrix_trained": partial(_matrix_explorer, 15),
    **{f"option_{number}": partial(option, number) for number in (1, 2, 3)},
}
