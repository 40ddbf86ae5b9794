"""The heat map of composed transforms: choose a pair, see its two views, and what such an encoder
finds alike.
"""

import json
import math

import torch

from helpers.data import load, sample_photos
from helpers.findings.panels import TITLES
from helpers.metrics import mean_interval
from helpers.plotting import CHOSEN, NEGATIVE, VIEW_A, VIEW_B
from helpers.results import read_results
from helpers.settings import TRANSFORMS, settings_for, view_maker
from helpers.widgets.canvas import Canvas
from helpers.widgets.explorer import Explorer, button, dropdown, shared, slider

SIDE = 50  # of a cell
LOWEST, HIGHEST = 0.1, 0.7  # of the colours: one scale for photos and shapes; 10% is guessing


def _shade(share: float) -> str:
    """Return a colour from white at 0 to dark blue at 1: its lightness alone tells the order."""
    return "#" + "".join(f"{round(255 + (end - 255) * share):02X}" for end in (0, 68, 136))


def _share(accuracy: float) -> float:
    """Return where an accuracy lies on the scale of colours, from 0 to 1."""
    return min(max((accuracy - LOWEST) / (HIGHEST - LOWEST), 0.0), 1.0)


def _hatch(canvas: Canvas, x: float, y: float, side: float) -> None:
    """Draw diagonal lines across a square."""
    for step in range(8, round(2 * side), 9):
        below, above = min(step, side), max(0, step - side)
        canvas.line([(x + above, y + below), (x + below, y + above)], "#A8A8A8", 1)


class CompositionExplorer(Explorer):
    """Accuracy after pretraining with a first and a second transform on one of two equal crops, as
    in Figure 5.

    Args:
        rows: Of the study "composition"; the shipped ones if None.
        untrained: Rows of encoders without training, by the same protocol; the shipped ones if both
            are None.
    """

    def __init__(self, rows: list[dict] | None = None, untrained: list[dict] | None = None):
        if rows is None:
            rows, untrained = (
                read_results("findings_composition"),
                read_results("findings_untrained"),
            )
        self.rows, self.untrained = rows, untrained or []
        self.seed = 0
        names = [(TITLES.get(name, name), name) for name in TRANSFORMS]
        sources = list(dict.fromkeys(row["data"] for row in self.rows))
        self.data = dropdown("learned from", sources, sources[-1], width=200, label=90)
        self.first = dropdown("first", names, "crop", width=165, label=45)
        self.second = dropdown("then", names, "color", width=165, label=45)
        self.which = slider("image", 1, 1, 5, 1, width=220, label=50)
        self.again = button("draw again", "draw two other views", 110)
        super().__init__([self.data, self.first, self.second, self.which, self.again], height=484)

    def press(self, pressed) -> None:
        self.seed += 1

    def scores(self) -> dict[tuple[str, str], tuple[float, float]]:
        """Return (mean, half width over seeds) of the linear probe for each pair, on the chosen
        data.
        """
        found: dict[tuple[str, str], list[float]] = {}
        for row in self.rows:
            # a run that diverged has none
            if row["data"] == self.data.value and row["probe"] != "":
                found.setdefault((row["first"], row["second"]), []).append(float(row["probe"]))
        return {pair: mean_interval(values) for pair, values in found.items()}

    def baseline(self) -> float | None:
        """Return the accuracy of an untrained encoder on the chosen data, None where it was not
        measured.
        """
        values = [float(row["probe"]) for row in self.untrained if row["data"] == self.data.value]
        return sum(values) / len(values) if values else None

    def draw(self, canvas: Canvas) -> str:
        scores, pair = self.scores(), (self.first.value, self.second.value)
        self._heat_map(canvas, scores, pair)
        image = self._views(canvas, pair)
        self._neighbors(canvas, pair, image)
        mean, width = scores[pair]
        order = sorted(scores, key=lambda each: -scores[each][0])
        both = [TITLES.get(each, each) for each in pair]
        name = " then ".join(both) if pair[0] != pair[1] else f"{both[0]} alone"
        alone = ", ".join(
            f"{title} alone {scores[each, each][0]:.1%}"
            for title, each in zip(both, pair, strict=True)
        )
        compared = f" ({alone})" if pair[0] != pair[1] else ""
        over = "" if math.isnan(width) else f" ± {width:.1%}"  # one seed has no interval
        baseline = self.baseline()
        below = (
            ""
            if baseline is None
            else (
                f" An untrained encoder reaches {baseline:.1%}: "
                f"{sum(each < baseline for each, _ in scores.values())} of {len(scores)} cells lie "
                "below it."
            )
        )
        return (
            f"{self.data.value}, {name}: a linear probe classifies {mean:.1%}{over} of the test "
            f"images correctly{compared}; that is number {order.index(pair) + 1} of "
            f"{len(order)}.{below}"
        )

    def _heat_map(self, canvas: Canvas, scores: dict, pair: tuple[str, str]) -> None:
        left, top = 92, 62
        baseline = self.baseline()
        canvas.text(left + 3.5 * SIDE, 12, "second transform", 15, "#555555", "mm")
        canvas.text(left - 8, 40, "first", 15, "#555555", "rm")
        for k, name in enumerate(TRANSFORMS):
            canvas.text(
                left + (k + 0.5) * SIDE,
                40,
                TITLES.get(name, name),
                13,
                anchor="mm",
                bold=name == pair[1],
            )
            canvas.text(
                left - 8,
                top + (k + 0.5) * SIDE,
                TITLES.get(name, name),
                15,
                anchor="rm",
                bold=name == pair[0],
            )
        for row, first in enumerate(TRANSFORMS):
            for column, second in enumerate(TRANSFORMS):
                mean, _ = scores[first, second]
                share = _share(mean)
                x, y = left + column * SIDE, top + row * SIDE
                canvas.rectangle(x + 1, y + 1, SIDE - 2, SIDE - 2, _shade(share))
                if baseline is not None and mean < baseline:
                    _hatch(canvas, x + 1, y + 1, SIDE - 2)
                ink = "white" if share > 0.72 else "black"  # whichever stands out more
                canvas.text(
                    x + SIDE / 2,
                    y + SIDE / 2,
                    f"{100 * mean:.0f}",
                    16,
                    ink,
                    "mm",
                    bold=first == second,
                )
        at = TRANSFORMS.index(pair[1]), TRANSFORMS.index(pair[0])
        canvas.rectangle(
            left + at[0] * SIDE - 2, top + at[1] * SIDE - 2, SIDE + 4, SIDE + 4, None, CHOSEN, 4
        )
        canvas.text(
            8,
            top + 7 * SIDE + 16,
            "linear probe, % of test images, mean of seeds (bold: one alone)",
            14,
            "#555555",
        )
        self._color_bar(canvas, left, top + 7 * SIDE + 30, 7 * SIDE, baseline)

    def _color_bar(
        self, canvas: Canvas, x: float, y: float, width: float, baseline: float | None
    ) -> None:
        """Draw what the shades mean, and where on them an untrained encoder lies."""
        for k in range(50):
            canvas.rectangle(x + width * k / 50, y, width / 50 + 0.5, 10, _shade(k / 49))
        canvas.text(x - 8, y + 5, f"{LOWEST:.0%}", 13, "#555555", "rm")
        canvas.text(x + width + 6, y + 5, f"{HIGHEST:.0%}", 13, "#555555")
        if baseline is not None:
            place = x + width * _share(baseline)
            canvas.line([(place, y - 3), (place, y + 13)], NEGATIVE, 3)
            canvas.text(
                place,
                y + 23,
                f"untrained encoder {baseline:.1%}, hatched below",
                14,
                NEGATIVE,
                "lm" if _share(baseline) < 0.35 else "mm",
            )

    def _views(self, canvas: Canvas, pair: tuple[str, str]) -> int:
        """Draw the image and its two views as training draws them, and return which image it is."""
        shapes = self.data.value == "shapes"
        images = shared(load, "shapes", "test") if shapes else shared(sample_photos, 32)
        chosen = self.which.value - 1
        settings = settings_for(
            "laptop",
            "shapes" if shapes else "cifar10",
            one_branch=pair[0] if pair[0] == pair[1] else ",".join(pair),
        )
        views = view_maker(settings)(
            images.images[[chosen]], torch.Generator().manual_seed(self.seed)
        )
        for k, (pixels, title, color) in enumerate(
            (
                (images.images[chosen], "the image", None),
                (views[0], "first view", VIEW_A),
                (views[1], "second view", VIEW_B),
            )
        ):
            canvas.image(pixels, 500 + 155 * k, 34, 130, frame=color)
            canvas.text(565 + 155 * k, 16, title, 15, anchor="mm", bold=True)
        canvas.text(
            500, 184, "one crop for both views; the transforms change the first", 14, "#555555"
        )
        return chosen

    def _neighbors(self, canvas: Canvas, pair: tuple[str, str], image: int) -> None:
        found = next(
            (
                row["neighbors"]
                for row in self.rows
                if row["data"] == self.data.value == "shapes"
                and (row["first"], row["second"]) == pair
                and row["neighbors"]
            ),
            None,
        )
        canvas.text(
            500, 222, "nearest neighbours of the image, by h of the first run", 15, bold=True
        )
        if not found:
            for k, line in enumerate(
                (
                    "shown where it learned from shapes: the photos that it",
                    "learned from do not come with the course. (The one above",
                    "is scikit-learn's.)",
                )
            ):
                canvas.text(500, 250 + 20 * k, line, 14, "#555555")
            return
        train, test = (shared(load, "shapes", split) for split in ("train", "test"))
        own = int(test.labels[image])
        for k, row in enumerate(json.loads(found)[image]):
            label = int(train.labels[row])
            canvas.image(train.images[row], 500 + 112 * k, 244, 98)
            canvas.text(
                549 + 112 * k,
                356,
                train.classes[label] + (" ✓" if label == own else ""),
                15,
                anchor="mm",
                bold=label == own,
            )
