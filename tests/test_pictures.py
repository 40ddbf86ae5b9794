"""Figures and the live monitor: they draw what they are given, and carry alt text."""

import io
import warnings

import pytest
import torch
from matplotlib.text import Annotation
from PIL import Image

from helpers.plotting import draw_clinic, draw_neighbors, draw_training_curves, show_images
from helpers.settings import Settings
from helpers.widgets.monitor import TrainingMonitor
from helpers.widgets.picture import picture

HISTORY = [{"step": 0, "epoch": 0.0, "seconds": 0.0, "knn": 0.1}] + [
    {
        "step": step,
        "loss": 5 - step / 10,
        "top1": step / 40,
        "spread": 0.9,
        "knn": 0.2 if step % 10 == 0 else None,
    }
    for step in range(1, 31)
]


def test_curves_show_every_value_and_the_levels():
    fig = draw_training_curves(
        HISTORY, chance_loss=5.5, floor_loss=0.1, total_steps=30, knn_chance=0.1
    )
    loss, pairs, spread, knn = fig.axes
    assert list(loss.lines[0].get_ydata()) == [row["loss"] for row in HISTORY[1:]]
    assert [line.get_ydata()[0] for line in loss.lines[1:]] == [5.5, 0.1]
    assert list(knn.lines[0].get_xdata()) == [0, 10, 20, 30]
    assert loss.get_xlim() == pairs.get_xlim() == spread.get_xlim() == (0, 30)
    assert len(draw_training_curves(HISTORY, 5.5, 0.1, 30).axes) == 3, "no labels, no kNN"


def test_a_run_of_one_row_and_one_that_diverged_can_be_drawn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a layout that collapsed
        draw_training_curves([], 5.5, 0.1, 30, 0.1).savefig(io.BytesIO())
    draw_training_curves(HISTORY[:1], 5.5, 0.1, 30, 0.1)
    draw_training_curves(
        [*HISTORY, {"step": 31, "loss": float("nan"), "top1": 0.0, "spread": 0.0}], 5.5, 0.1, 31
    )
    draw_clinic({"healthy": HISTORY, "A": HISTORY[:1]}, 5.5, 0.1)


def test_pictures_and_neighbors():
    images = torch.randint(0, 256, (2, 6, 3, 8, 8), dtype=torch.uint8)
    assert len(show_images(images[0], columns=4).axes) == 8
    labels = torch.tensor([[0, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]])
    fig = draw_neighbors(images[:, 0], torch.tensor([0, 1]), {"pixels": images}, {"pixels": labels})
    marks = [text.get_text() for ax in fig.axes for text in ax.texts]
    assert marks.count("✓") == 7
    assert marks.count("✗") == 5


def test_a_picture_needs_an_alt_text():
    fig = show_images(torch.rand(1, 3, 8, 8))
    shown = picture(fig, "A square.")
    assert Image.open(io.BytesIO(shown.data)).format == "PNG"
    assert shown._repr_mimebundle_()[1]["image/png"]["alt"] == "A square."
    with pytest.raises(ValueError, match="needs an alt text"):
        picture(fig, " ")


def test_the_live_monitor_redraws_at_most_so_often_and_at_the_end():
    monitor = TrainingMonitor(
        Settings(batch_size=10, epochs=3.0), images=100, classes=10, every=1000
    )
    assert monitor.total_steps == 30
    empty = monitor.image.value
    assert Image.open(io.BytesIO(empty)).width > 800
    monitor(HISTORY[:5], False)
    first = monitor.image.value
    assert first != empty
    monitor(HISTORY[:10], False)
    assert monitor.image.value == first
    monitor(HISTORY[:11], True)  # stopped before its last step
    assert monitor.image.value != first


def overlaps(box, other):
    return (
        min(box.x1, other.x1) > max(box.x0, other.x0) + 1
        and min(box.y1, other.y1) > max(box.y0, other.y0) + 1
    )


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 20, 100])
@pytest.mark.parametrize("high", [False, True])
def test_the_numbers_of_the_monitor_cover_neither_ticks_nor_titles(rows, high):
    """In the first steps most of all, when everyone looks."""
    history = [
        {
            "step": 1 + 11 * k,
            "loss": 6.0 - 0.02 * k,
            "top1": 0.95 if high else 0.21,
            "spread": 0.99 if high else 0.4,
            "knn": 0.97 if high else 0.2,
        }
        for k in range(rows)
    ]
    fig = draw_training_curves(
        history, chance_loss=5.5, floor_loss=2.0, total_steps=1155, knn_chance=0.1
    )
    fig.draw_without_rendering()
    for ax in fig.axes:
        (number,) = (text for text in ax.texts if isinstance(text, Annotation))
        box = number.get_window_extent()
        titles = [text for text in (ax.title, ax._left_title) if text.get_text()]
        for text in [*ax.get_yticklabels(), *ax.get_xticklabels(), *titles]:
            assert not overlaps(box, text.get_window_extent()), (text.get_text(), number.get_text())
