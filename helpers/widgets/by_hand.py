"""NT-Xent of two images by hand: four views, six similarities, and each number in the order of
computing it.
"""

import math

import torch
from torch import Tensor

from helpers.losses import nt_xent
from helpers.plotting import OTHER, POSITIVE
from helpers.widgets.canvas import Canvas
from helpers.widgets.explorer import Explorer, button, dropdown, slider

NAMES = ("A1", "B1", "A2", "B2")  # rows k and k + 2 are a pair
PAIRS = [(i, j) for i in range(4) for j in range(i + 1, 4)]
START = {(0, 2): 0.9, (1, 3): 0.6, (0, 1): 0.2, (0, 3): 0.4, (1, 2): 0.1, (2, 3): 0.3}


def vectors_with(similarity: Tensor) -> Tensor:
    """Return four vectors, float64 (4, 4), whose cosine similarities are these (4, 4)."""
    values, directions = torch.linalg.eigh(similarity)
    return directions * values.clamp(min=0).sqrt()


def nearest_possible(similarity: Tensor, i: int, j: int, wanted: float) -> float:
    """Return the value nearest to `wanted` that s[i, j] can have, given the others: not every six
    fit together.

    If a is close to b and to c, then b and c cannot be far apart.
    """

    def fits(value: float) -> bool:
        trial = similarity.clone()
        trial[i, j] = trial[j, i] = value
        return torch.linalg.eigvalsh(trial)[0].item() >= -1e-12

    if fits(wanted):
        return wanted
    good, bad = similarity[i, j].item(), wanted
    for _ in range(40):
        middle = (good + bad) / 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


class ByHand(Explorer):
    """Two images, four views: change a similarity or the temperature and see every number of
    NT-Xent follow.
    """

    def __init__(self):
        self.similarity = torch.eye(4, dtype=torch.float64)
        self.pair = dropdown(
            "similarity of",
            [
                (f"{NAMES[i]} and {NAMES[j]}{' (a pair)' if j == i + 2 else ''}", (i, j))
                for i, j in PAIRS
            ],
            (0, 2),
            width=250,
            label=95,
        )
        self.value = slider("its value", START[0, 2], -1.0, 1.0, 0.01, width=330, label=70)
        self.temperature = slider("temperature τ", 0.5, 0.1, 2.0, 0.05, width=330, label=105)
        self.reset = button("start again", "put all similarities back", 110)
        self._moving = False
        self._restore()
        super().__init__([self.pair, self.value, self.temperature, self.reset], height=470)

    def press(self, pressed) -> None:
        self._restore()
        self._show_value()

    def _restore(self) -> None:
        self._limited = False
        for (i, j), value in START.items():
            self.similarity[i, j] = self.similarity[j, i] = value

    def _show_value(self) -> None:
        self._moving = True
        self.value.value = round(float(self.similarity[self.pair.value]), 2)
        self._moving = False

    def _changed(self, change) -> None:
        if self._moving:
            return
        i, j = self.pair.value
        if change["owner"] is not self.temperature:
            self._limited = False
        if change["owner"] is self.pair:
            self._show_value()
        elif change["owner"] is self.value:
            possible = nearest_possible(self.similarity, i, j, self.value.value)
            self._limited = abs(possible - self.value.value) > 1e-9
            self.similarity[i, j] = self.similarity[j, i] = possible
        self.redraw()

    def numbers(self) -> dict[str, Tensor]:
        """Return every step: s, s / τ, exp, their sum, p and ℓ, by rows; L is the mean of ℓ."""
        logits = self.similarity / self.temperature.value
        exps = logits.exp().fill_diagonal_(0)
        total = exps.sum(1)
        p = exps[torch.arange(4), torch.tensor([2, 3, 0, 1])] / total
        return {
            "s": self.similarity,
            "logits": logits,
            "exps": exps,
            "total": total,
            "p": p,
            "l": -p.log(),
        }

    def draw(self, canvas: Canvas) -> str:
        n, tau = self.numbers(), self.temperature.value
        chosen = {self.pair.value, self.pair.value[::-1]}
        blocks = (
            (78, "1  similarity  s", n["s"], "{:.2f}"),
            (384, "2  exp(s / τ)", n["exps"], "{:.2f}"),
        )
        for x, title, table, form in blocks:
            canvas.text(x - 24, 20, title, 18, bold=True)
            wide = 58
            for k, name in enumerate(NAMES):
                canvas.text(x + wide * (k + 0.5), 56, name, 15, "#555555", "mm")
                canvas.text(x - 12, 96 + 52 * k, name, 15, "#555555", "rm")
            for i in range(4):
                for j in range(4):
                    left, top = x + wide * j, 72 + 52 * i
                    if i == j:
                        canvas.marker(left + 28, top + 24, "cross", 6, OTHER)
                        continue
                    if abs(i - j) == 2:
                        canvas.rectangle(left + 2, top + 2, wide - 4, 44, None, POSITIVE, 2.5)
                    if (i, j) in chosen:
                        canvas.rectangle(left + 5, top + 5, wide - 10, 38, "#FBEBC8")
                    text = form.format(table[i, j].item())
                    canvas.text(
                        left + wide / 2,
                        top + 24,
                        text if len(text) < 7 else f"{table[i, j].item():.0f}",
                        16 if len(text) < 6 else 13,
                        anchor="mm",
                    )
        for x, title in ((675, "3  row sum"), (772, "4  p"), (874, "5  ℓ = −log p")):
            canvas.text(x, 20, title, 17, anchor="mm", bold=True)
        for k in range(4):
            y = 96 + 52 * k
            total = n["total"][k].item()
            canvas.text(675, y, f"{total:.2f}" if total < 1e4 else f"{total:.0f}", 17, anchor="mm")
            canvas.text(772, y, f"{n['p'][k].item():.3f}", 17, POSITIVE, "mm", bold=True)
            canvas.text(874, y, f"{n['l'][k].item():.3f}", 17, anchor="mm", bold=True)
        row, mate = (
            self.pair.value
            if self.pair.value[1] == self.pair.value[0] + 2
            else (self.pair.value[0], None)
        )
        mate = (row + 2) % 4 if mate is None else mate
        others = [j for j in range(4) if j != row]
        s = {j: n["s"][row, j].item() for j in others}
        canvas.line([(24, 300), (936, 300)], "#DDDDDD", 1.5)
        canvas.text(24, 328, f"Row {NAMES[row]} in full, partner {NAMES[mate]}:", 16, "#555555")
        canvas.text(
            24,
            360,
            "p = exp({:.2f} / {:g}) / ( {} )".format(
                s[mate], tau, " + ".join(f"exp({s[j]:.2f} / {tau:g})" for j in others)
            ),
            17,
        )
        canvas.text(
            24,
            390,
            "  = {:.3f} / ( {} ) = {:.3f}".format(
                n["exps"][row, mate].item(),
                " + ".join(f"{n['exps'][row, j].item():.3f}" for j in others),
                n["p"][row].item(),
            ),
            17,
        )
        loss = n["l"].mean().item()
        package = nt_xent(vectors_with(self.similarity), tau).item()
        canvas.text(
            24,
            440,
            "6  L = mean of ℓ = {} / 4 = {:.6f}".format(
                "( " + " + ".join(f"{v:.3f}" for v in n["l"].tolist()) + " )", loss
            ),
            18,
            bold=True,
        )
        canvas.text(936, 440, f"nt_xent: {package:.6f}", 18, POSITIVE, "rm", bold=True)
        i, j = self.pair.value
        kind = (
            "a pair: raising their similarity lowers the loss"
            if j == i + 2
            else "no pair: raising their similarity raises the loss"
        )
        limit = (
            "No four vectors have the similarity asked for, with the others as they are; "
            f"{self.similarity[i, j].item():.2f} is as far as it goes. "
            if self._limited
            else ""
        )
        return (
            f"{limit}{NAMES[i]} and {NAMES[j]} are {kind}. Loss {loss:.4f}; chance, all "
            f"similarities equal, is log 3 = {math.log(3):.4f}."
        )
