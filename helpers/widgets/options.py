"""The picture that decides: accuracy against labels for the options, what each costs, and which one
to take.
"""

import math

from helpers.metrics import mean_interval
from helpers.plotting import CHOSEN, NEGATIVE, OTHER, POSITIVE, TEXT, VIEW_A
from helpers.results import read_results
from helpers.transfer import OPTIONS
from helpers.widgets.canvas import Canvas
from helpers.widgets.explorer import Explorer, dropdown, steps

TARGETS = {"Shapes, new classes": "shapes", "CIFAR-10": "cifar10", "Flowers-17": "flowers17"}
LOOKS = {
    "scratch": (OTHER, "cross"),
    "1": (NEGATIVE, "square"),
    "2": (VIEW_A, "circle"),
    "3": (POSITIVE, "triangle"),
}


def target_rows(target: str) -> list[dict]:
    """Return the shipped rows of one of TARGETS, their costs as they were measured with nothing
    else running.
    """
    costs = {
        (row["labels"], row["option"]): {
            name: row[name] for name in ("seconds", "mebibytes", "parameters")
        }
        for row in read_results("transfer_costs")
        if row["target"] == TARGETS[target]
    }
    return [
        row | costs[row["labels"], row["option"]]
        for row in read_results(f"transfer_{TARGETS[target]}")
    ]


def recommend(rows: list[dict]) -> tuple[str, list[str]]:
    """Return (the option to take, those that no other is clearly better than) among rows of one
    number of labels.

    Options are compared in pairs, seed by seed, since they had the same labelled images: where the
    95% interval of the difference lies above 0, the first is better. Of those that none is better
    than, the quickest is taken; within a factor of two, times count as equal and the last one of
    OPTIONS goes first: the frozen encoder, then training all layers, then from scratch.
    """
    scores = {
        option: {row["seed"]: float(row["accuracy"]) for row in rows if row["option"] == option}
        for option in dict.fromkeys(row["option"] for row in rows)
    }

    def better(first: str, second: str) -> bool:
        mean, width = mean_interval(
            [
                scores[first][seed] - score
                for seed, score in scores[second].items()
                if seed in scores[first]
            ]
        )
        # of one seed the width is nan; of equal differences it tells nothing
        return width > 1e-9 and mean - width > 0

    alike = [
        option
        for option in scores
        if not any(better(other, option) for other in scores if other != option)
    ]
    alike.sort(key=lambda option: -mean_interval(list(scores[option].values()))[0])
    seconds = {option: _mean(rows, option, "seconds") for option in alike}
    quick = [option for option in alike if seconds[option] <= 2 * min(seconds.values())]
    return max(quick, key=list(OPTIONS).index), alike


def _mean(rows: list[dict], option: str, column: str) -> float:
    values = [
        float(row[column])
        for row in rows
        if row["option"] == option and row[column] not in ("", "nan")
    ]
    return sum(values) / len(values) if values else math.nan


class OptionsExplorer(Explorer):
    """Accuracy of the options against labels per class, from the shipped tables, and a table for
    one number.
    """

    def __init__(self):
        self.rows = {title: target_rows(title) for title in TARGETS}
        self.target = dropdown("target", list(TARGETS), width=270, label=60)
        self.labels = steps(
            "labels per class", self._numbers(), self._numbers()[1], width=420, label=110
        )
        self.target.observe(self._other_target, "value")
        super().__init__([self.target, self.labels], height=430)

    def _numbers(self) -> list[str]:
        return list(dict.fromkeys(row["labels"] for row in self.rows[self.target.value]))

    def _other_target(self, _) -> None:
        if list(self.labels.options) != self._numbers():
            self.labels.options = self._numbers()

    def draw(self, canvas: Canvas) -> str:
        rows, numbers = self.rows[self.target.value], self._numbers()
        at = self.labels.value if self.labels.value in numbers else numbers[0]
        options = list(dict.fromkeys(row["option"] for row in rows))
        chosen = [row for row in rows if row["labels"] == at]
        scores = {
            (option, n): mean_interval(
                [float(r["accuracy"]) for r in rows if r["option"] == option and r["labels"] == n]
            )
            for option in options
            for n in numbers
        }
        self._curves(canvas, scores, options, numbers, at)
        take, alike = recommend(chosen)
        self._table(canvas, scores, options, chosen, at, take, alike)
        mean, width = scores[take, at]
        others = [OPTIONS[option] for option in alike if option != take]
        names = "” or “".join(others)
        why = (
            f"no option is clearly better than this one or “{names}”, and it is among the quickest "
            "of these"
            if others
            else "it is clearly better than each other one"
        )
        many = "all labels" if at == "all" else f"{at} labels per class"
        return (
            f"{self.target.value}, {many}: take “{OPTIONS[take]}”, {mean:.1%}{_interval(width)}: "
            f"{why} ({_seconds(_mean(chosen, take, 'seconds'))} to train)."
        )

    def _curves(
        self, canvas: Canvas, scores: dict, options: list[str], numbers: list[str], at: str
    ) -> None:
        left, top, width, height = 66, 40, 380, 320
        widths = {key: 0.0 if math.isnan(width) else width for key, (_, width) in scores.items()}
        low = max(
            0.0, math.floor(10 * min(mean - widths[key] for key, (mean, _) in scores.items())) / 10
        )
        high = min(
            1.0, math.ceil(10 * max(mean + widths[key] for key, (mean, _) in scores.items())) / 10
        )

        def place(index: float, value: float) -> tuple[float, float]:
            x = left + 20 + (width - 40) * index / max(1, len(numbers) - 1)
            return x, top + height * (1 - (value - low) / (high - low))

        canvas.text(left - 56, 16, "accuracy on test images (mean, 95% interval over seeds)", 15)
        for tick in range(round(10 * low), round(10 * high) + 1, 1 if high - low < 0.65 else 2):
            y = place(0, tick / 10)[1]
            canvas.line([(left, y), (left + width, y)], "#E6E6E6", 1)
            canvas.text(left - 8, y, f"{10 * tick}%", 14, "#555555", "rm")
        x = place(numbers.index(at), 0)[0]
        canvas.rectangle(x - 20, top, 40, height, "#FFF0CC")
        canvas.rectangle(x - 20, top + height, 40, 5, CHOSEN)
        for k, number in enumerate(numbers):
            canvas.text(
                place(k, 0)[0], top + height + 10, number, 16, TEXT, "mt", bold=number == at
            )
        canvas.text(left + width / 2, top + height + 36, "labels per class", 15, anchor="mt")
        for shift, option in enumerate(options):
            color, form = LOOKS[option]
            points = []
            for k, number in enumerate(numbers):
                mean, _ = scores[option, number]
                x, y = place(k, mean)
                # side by side, so that intervals can be told apart
                x += 8 * (shift - (len(options) - 1) / 2)
                ends = [place(k, mean + side * widths[option, number])[1] for side in (-1, 1)]
                canvas.line([(x, ends[0]), (x, ends[1])], color, 2)
                for end in ends:
                    canvas.line([(x - 4, end), (x + 4, end)], color, 2)
                points.append((x, y))
            canvas.line(points, color, 2)
            for x, y in points:
                canvas.marker(x, y, form, 7, color)

    def _table(
        self,
        canvas: Canvas,
        scores: dict,
        options: list[str],
        chosen: list[dict],
        at: str,
        take: str,
        alike: list[str],
    ) -> None:
        left, right = 478, (690, 778, 856, 952)
        for x, title in zip(right, ("accuracy", "seconds", "MiB", "trained"), strict=True):
            canvas.text(x, 62, title, 15, "#555555", "rm")
        for row, option in enumerate(options):
            color, form = LOOKS[option]
            y = 104 + 64 * row
            if option == take:
                canvas.rectangle(left - 14, y - 27, 492, 54, "#FFF6E0", CHOSEN, 3)
            canvas.marker(left, y - 8, form, 8, color)
            title = OPTIONS[option] if option == "scratch" else f"{option}  {OPTIONS[option]}"
            canvas.text(left + 16, y - 8, title, 16, bold=option == take)
            if len(alike) > 1 and option in alike:
                said = "take this: among the quickest" if option == take else "none clearly better"
                canvas.text(952, y - 8, said, 14, "#555555", "rm")
            mean, width = scores[option, at]
            seconds, memory, trained = (
                _mean(chosen, option, c) for c in ("seconds", "mebibytes", "parameters")
            )
            canvas.text(
                right[0], y + 14, f"{100 * mean:.1f}{_interval(width) or '%'}", 15, anchor="rm"
            )
            for x, text in zip(
                right[1:],
                (
                    f"{seconds:.1f}",
                    "" if math.isnan(memory) else f"{memory:.0f}",
                    f"{trained:,.0f}",
                ),
                strict=True,
            ):
                canvas.text(x, y + 14, text, 15, anchor="rm")
        canvas.text(
            left - 14,
            376,
            "seconds, peak memory and trained numbers: of one training",
            14,
            "#555555",
        )


def _interval(width: float) -> str:
    # Where all runs are alike, nothing was drawn: ± 0.0 would claim certainty. (Rounding leaves a
    # width of 1e-16.)
    return "" if width < 1e-9 else f" ± {width:.1%}"


def _seconds(seconds: float) -> str:
    return (
        "under 0.1 s"
        if seconds < 0.1
        else f"{seconds:.1f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
    )
