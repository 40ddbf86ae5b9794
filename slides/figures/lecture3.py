"""Figures and numbers of lecture 3: what the paper found, and our measurements beside it."""

import math
from collections.abc import Callable
from functools import lru_cache, partial

import torch
from matplotlib.figure import Figure

from helpers.data import load, sample_photos
from helpers.findings.claims import Judged, below_untrained, with_interval
from helpers.findings.panels import TITLES, panels
from helpers.findings.paper import PAPER_BATCHES, TABLE_3, TABLE_6, TABLE_7, TABLE_B1
from helpers.findings.verdicts import KNN_MARK, judge_all, selected, tally_table
from helpers.metrics import mean_interval
from helpers.plotting import CHOSEN, OTHER, TEXT, VIEW_A, VIEW_B, draw_curves
from helpers.results import curves, markdown_table, read_results
from helpers.settings import settings_for, view_maker
from helpers.transfer import OPTIONS
from helpers.widgets.canvas import Canvas
from helpers.widgets.composition import CompositionExplorer
from helpers.widgets.explorer import WIDTH
from slides.figures.common import explorer_picture

# Claims by their ids, in the words of a slide.
SHORT = {
    "crop-color-beats-either": "crop + colour over either",
    "crop-color-beats-pairs": "… over the best other pair",
    "strength-against-supervised": "SimCLR loses less",
    "head-nonlinear-beats-none": "nonlinear over none",
    "head-nonlinear-beats-linear": "nonlinear over linear",
    "head-h-beats-z": "h over z",
    "tau-0.1-beats-1": "τ 0.1 over 1",
    "l2-beats-none": "with L2 over without",
    "more-pairs-without-l2": "more pairs without L2",
    "batch-largest-beats-smallest": "8 × the batch",
    "longest-beats-shortest": "8 × the length",
    "batch-against-supervised": "batch: SimCLR loses less",
    "length-against-supervised": "length: SimCLR gains more",
    "root-beats-linear": "root over linear scaling",
    "few-labels-beat-scratch": "1% of labels: over scratch",
    "linear-matches-supervised": "linear on h = supervised",
}
SIGNS = {"same": "✓", "opposite": "✗", "cannot tell": "?", "inside": "≈", "outside": "≠", "": ""}


@lru_cache(maxsize=8)
def _rows(study: str) -> list[dict]:
    return read_results(f"findings_{study}")


def two_stages() -> bytes:
    """Pretraining once without labels, then one encoder for several tasks with few labels each."""
    canvas, shapes, photos = (
        Canvas(WIDTH, 400),
        load("shapes", "train", limit=40),
        sample_photos(64),
    )
    for k in range(20):
        image = photos.images[k // 3 % len(photos.images)] if k % 3 == 1 else shapes.images[k]
        canvas.image(image, 16 + 52 * (k % 5), 96 + 52 * (k // 5), 46)
    canvas.text(144, 330, "many images, no labels", 22, anchor="mm")
    canvas.arrow(290, 200, 356, 200, OTHER, 4)
    canvas.polygon([(370, 110), (520, 150), (520, 250), (370, 290)], CHOSEN, TEXT, 2)
    canvas.text(445, 200, "f", 52, TEXT, "mm", bold=True)
    for x, title, kind in (
        (230, "unsupervised pretraining", "task-agnostic"),
        (760, "supervised fine-tuning", "task-specific"),
    ):
        canvas.text(x, 18, title, 24, TEXT, "mm", bold=True)
        canvas.text(x, 50, kind, 24, TEXT, "mm")
    tasks = {
        "which shape?": shapes.images[20:23],
        "which photo?": photos.images[[0, 3, 1]],
        "your own task": None,
    }
    for row, (task, images) in enumerate(tasks.items()):
        y = 92 + 106 * row
        canvas.arrow(532, 200, 582, y + 30, OTHER, 4)
        for k in range(3):
            if images is None:
                canvas.rectangle(594 + 68 * k, y, 60, 60, "#F2F2F2", VIEW_A, 3)
                canvas.text(624 + 68 * k, y + 30, "?", 30, VIEW_A, "mm", bold=True)
            else:
                canvas.image(images[k], 594 + 68 * k, y, 60, frame=VIEW_A, line=4)
        canvas.text(802, y + 30, task, 20)
    return canvas.png()


def few_labels() -> Figure:
    """The transfer options of notebook 05 over the number of labels, on photos."""
    rows = read_results("transfer_cifar10")
    found = curves(rows, "labels", "option", "accuracy")
    return draw_curves(
        {"CIFAR-10, here": {OPTIONS[option]: curve for option, curve in found.items()}},
        "labels per class",
        "test accuracy (%)",
        inch=8,
        height=3.7,
    )


def protocol() -> bytes:
    """Figure 5's protocol: one crop for both views, the transforms on the first one only."""
    photo = sample_photos(96)
    image = photo.images[[3]]
    settings = settings_for("laptop", "cifar10", image_size=96, one_branch="rotate,color")
    views = view_maker(settings)(image, torch.Generator().manual_seed(7))
    canvas = Canvas(WIDTH, 380)
    canvas.image(image[0], 20, 130, 120)
    canvas.text(80, 274, "image", 22, anchor="mm")
    canvas.arrow(152, 190, 216, 190, OTHER, 4)
    canvas.image(views[1], 228, 130, 120)
    canvas.text(288, 274, "one crop", 22, anchor="mm")
    for y in (90, 290):
        canvas.arrow(360, 190, 424, y, OTHER, 4)
    for k, name in enumerate(("first", "second")):
        canvas.rectangle(436 + 150 * k, 60, 130, 60, CHOSEN, TEXT, 2)
        canvas.text(501 + 150 * k, 90, name, 22, TEXT, "mm", bold=True)
    canvas.text(436, 290, "nothing", 24, "#555555")
    canvas.arrow(724, 90, 776, 90, OTHER, 4)
    canvas.arrow(540, 290, 776, 290, OTHER, 4)
    for y, view, color in ((30, views[0], VIEW_A), (230, views[1], VIEW_B)):
        canvas.image(view, 790, y, 120, frame=color, line=5)
    return canvas.png()


def heat_map(data: str) -> bytes:
    """The accuracy of each pair of transforms; the best pair framed."""
    explorer = CompositionExplorer()
    explorer.data.value = data
    scores = explorer.scores()
    both = {(a, b): scores[a, b][0] + scores[b, a][0] for a, b in scores if a != b}
    best = max(both, key=both.get)
    explorer.first.value, explorer.second.value = max(
        (best, best[::-1]), key=lambda pair: scores[pair][0]
    )
    return explorer_picture(explorer, width=490)


def _drawn(study: str, *chosen: str) -> Figure:
    """Return the panels of a study, all or those chosen, as large as a slide shows them."""
    found, x, y = panels(study, _rows(study))
    shown = {name: curve for name, curve in found.items() if not chosen or name in chosen}
    return draw_curves(shown, x, y, inch=8.4 / len(shown), height=3.7)


FIGURES: dict[str, Callable[[], bytes | Figure]] = {
    "two_stages": two_stages,
    "few_labels": few_labels,
    "protocol": protocol,
    "map_photos": partial(heat_map, "photos"),
    "map_shapes": partial(heat_map, "shapes"),
    "strengths": partial(_drawn, "color"),
    "heads": partial(_drawn, "head"),
    "batch_paper": partial(_drawn, "batch_epochs", "ImageNet, Table B.1", "ImageNet, root scaling"),
    "batch_here": partial(_drawn, "batch_epochs", "photos, here", "shapes, here"),
    "batch_more": partial(_drawn, "batch_epochs", "photos, root scaling", "photos, supervised"),
    "temperatures": partial(_drawn, "temperature"),
}


def verdicts(study: str, gains: bool | None = None) -> str:
    """Return a Markdown table of a study's claims that the rule of `helpers.findings.verdicts`
    selects.

    Args:
        study: Of the claims; several with + between them.
        gains: Take only claims that compare the gains of SimCLR and of supervised training, or only
            the others.
    """
    ids = selected(_all_judged())
    chosen = [
        one
        for one in _all_judged()
        if one.claim.study in study.split("+")
        and one.claim.id in ids
        and (gains is None or bool(one.claim.sides) == gains)
    ]
    table = [["", "paper", "photos", "", "shapes", ""]]
    for claim in dict.fromkeys(one.claim.id for one in chosen):
        of_claim = [one for one in chosen if one.claim.id == claim]
        cells = [SHORT[claim], of_claim[0].claim.paper_text.replace("more than ", "> ")]
        for data in ("photos", "shapes"):
            cells += _judged(next((one for one in of_claim if one.data == data), None))
        table.append(cells)
        for side in of_claim[0].sides:
            figures = {
                one.data: with_interval(*one.sides[side], one.claim.digits) for one in of_claim
            }
            photos, shapes = (
                figures.get(data, "").replace(" ", "\u00a0") for data in ("photos", "shapes")
            )
            table.append([f"{side} alone", "", photos, "", shapes, ""])
    columns = [
        column for column in zip(*table, strict=True) if any(column[1:])
    ]  # photos alone, or no figure
    titles, *rows = zip(*columns, strict=True)
    return markdown_table(titles, rows)


def _judged(one: Judged | None) -> list[str]:
    """Return two cells: ours with its interval, and signs for direction and size."""
    if one is None:
        return ["", ""]
    figure = one.figure.replace(" ", "\u00a0")  # it stays on one line
    return [
        figure,
        f"{SIGNS[one.direction]}{KNN_MARK if one.turned else ''}\u00a0{SIGNS[one.size]}",
    ]


@lru_cache(maxsize=1)
def _all_judged() -> tuple[Judged, ...]:
    return tuple(judge_all())


def _order(data: str) -> str:
    """Return the rank correlation of our composition map with the paper's."""
    (one,) = (
        one for one in _all_judged() if one.claim.id == "composition-order" and one.data == data
    )
    return f"{one.figure} ({one.direction})".replace("(same)", "(same order)")


def _below(data: str) -> str:
    """Return an untrained encoder's accuracy, and how many cells of the composition map lie below
    it.
    """
    baseline, below = below_untrained(_rows("composition"), _rows("untrained"), data)
    return f"{baseline:.1f}%: {below} of 49 cells lie below it"


def knowledge(data: str, questions: tuple[str, ...]) -> str:
    """Return a Markdown table of how well each question is answered from pixels, h and z, with
    intervals over seeds.
    """
    lines = []
    for question in questions:
        rows = [
            row for row in _rows("knowledge") if row["data"] == data and row["question"] == question
        ]
        cells = []
        for source in ("pixels", "h", "z"):
            mean, width = mean_interval(
                [100 * float(row["accuracy"]) for row in rows if row["read from"] == source]
            )
            cells.append(f"{mean:.0f}" if math.isnan(width) else f"{mean:.0f} ± {width:.0f}")
        guess = f"{100 * float(rows[0]['chance']):.0f}"
        lines.append([TITLES.get(question, question), guess, *cells])
    return markdown_table(("", "guess", "pixels", "h", "z"), lines)


def _paper_table(titles: str, rows: dict[str, tuple[float, ...]]) -> str:
    lines = [[name, *(f"{value:g}" for value in values)] for name, values in rows.items()]
    return markdown_table(titles.split("|"), lines)


def root_scaling() -> str:
    """Return the paper's shortest and longest training at three batch sizes, with linear and with
    root scaling.
    """
    chosen = {
        f"{PAPER_BATCHES[k]:,}": (
            TABLE_B1["linear"][k][0],
            TABLE_B1["sqrt"][k][0],
            TABLE_B1["linear"][k][3],
            TABLE_B1["sqrt"][k][3],
        )
        for k in (0, 2, 4)
    }
    return _paper_table("batch | 100 epochs, linear | root | 800 epochs, linear | root", chosen)


NUMBERS: dict[str, Callable[[], str]] = {
    "table_6": lambda: _paper_table(
        "method | top-1", {name: (value,) for name, value in TABLE_6.items()}
    ),
    "table_7": lambda: _paper_table("top-5 with | 1% of labels | 10%", TABLE_7),
    "table_3": lambda: _paper_table(" | guess | h | z", TABLE_3),
    "root_scaling": root_scaling,
    "tally": lambda: tally_table(list(_all_judged())),
    "knowledge_photos": lambda: knowledge("photos", tuple(TABLE_3)),
    "knowledge_shapes": lambda: knowledge(
        "shapes", ("hue", "angle", "size", "x", "background_hue", "class")
    ),
    "abstract_verdicts": partial(verdicts, "transfer_cifar10+encoders"),
    "against_supervised_verdicts": partial(verdicts, "batch_epochs", gains=True),
    "batch_epochs_verdicts": partial(verdicts, "batch_epochs", gains=False),
    **{
        f"{study}_verdicts": partial(verdicts, study)
        for study in ("composition", "color", "head", "temperature")
    },
    **{f"order_{data}": partial(_order, data) for data in ("photos", "shapes")},
    **{f"below_{data}": partial(_below, data) for data in ("photos", "shapes")},
}
