"""Contrastive learning on a circle: pairs of points, the loss, its gradient as arrows, and a button
that follows it.
"""

import math

import torch

from helpers.losses import nt_xent
from helpers.metrics import contrastive_rank
from helpers.plotting import CHOSEN, NEGATIVE, OTHER, POSITIVE, VIEW_A, VIEW_B
from helpers.widgets.canvas import Canvas
from helpers.widgets.explorer import Explorer, button, dropdown, slider

IMAGES, KINDS, LETTERS = 4, ("circle", "square", "triangle", "diamond"), "ABCD"
STEP = 1.6  # times τ: radians that a gradient of 1 moves a point (gradients grow as 1 / τ)


def draw_circle(
    canvas: Canvas,
    x: float,
    y: float,
    radius: float,
    angles: list[float],
    turns: list[float] | None = None,
    chosen: int | None = None,
    names: bool = True,
) -> None:
    """Draw the points of all views on a circle, partners joined.

    Args:
        canvas: To draw on.
        x, y, radius: Of the circle.
        angles: In degrees, shape (2N,).
        turns: How far each point will move, in radians: arrows.
        chosen: The point that is marked.
        names: Whether to write them beside the points.
    """
    canvas.circle(x, y, radius, None, "#CCCCCC", 2)
    places = []
    for angle in angles:
        radians = math.radians(angle)
        places.append((x + radius * math.cos(radians), y - radius * math.sin(radians)))
    for k in range(IMAGES):
        canvas.line([places[k], places[k + IMAGES]], POSITIVE, 2, dashed=True)
    for (px, py), angle, turn in zip(places, angles, turns or [], strict=False):
        radians = math.radians(angle)
        length = math.copysign(min(abs(turn * radius), 90), turn)
        canvas.arrow(
            px, py, px - length * math.sin(radians), py - length * math.cos(radians), NEGATIVE, 4
        )
    for k, (px, py) in enumerate(places):
        if k == chosen:
            canvas.circle(px, py, 19, None, CHOSEN, 4)
        # A second view is smaller and its name inside, so that both are seen where they meet.
        canvas.marker(
            px, py, KINDS[k % IMAGES], 14 if k < IMAGES else 9, VIEW_A if k < IMAGES else VIEW_B
        )
        if not names:
            continue
        out = 1 + (34 if k < IMAGES else -34) / radius
        name = f"{LETTERS[k % IMAGES]}{1 + k // IMAGES}"
        canvas.text(x + (px - x) * out, y + (py - y) * out, name, 16, anchor="mm", bold=k == chosen)


class CircleExplorer(Explorer):
    """The two views of four images as points on a circle: drag one by its slider, or let the loss
    move all of them.

    Args:
        seed: Where the points start.
    """

    def __init__(self, seed: int = 0):
        self.generator = torch.Generator().manual_seed(seed)
        self.angles = torch.zeros(2 * IMAGES)  # degrees
        self._scatter()
        points = [
            (f"image {LETTERS[k % IMAGES]}, view {1 + k // IMAGES}", k) for k in range(2 * IMAGES)
        ]
        self.point = dropdown("point", points, 0, width=230, label=50)
        self.angle = slider(
            "its angle", round(float(self.angles[0])), -180, 180, 1, width=330, label=70
        )
        self.temperature = slider("temperature τ", 0.5, 0.05, 2.0, 0.05, width=330, label=105)
        self.one = button("1 gradient step", "move every point once along its arrow", 140)
        self.many = button("25 steps", "move every point 25 times", 100)
        self.again = button("scatter", "put the points at random places", 100)
        self.history: list[float] = []
        self._moving = False
        super().__init__(
            [self.point, self.angle, self.temperature, self.one, self.many, self.again], height=465
        )
        self.point.observe(lambda _: self._show_angle(), "value")

    def loss(self, angles: torch.Tensor) -> torch.Tensor:
        """Return NT-Xent of points at these angles, degrees, shape (2N,)."""
        radians = angles * (math.pi / 180)
        return nt_xent(torch.stack([radians.cos(), radians.sin()], dim=1), self.temperature.value)

    def press(self, pressed) -> None:
        if pressed is self.again:
            self._scatter()
            self.history = []
        for _ in range({self.one: 1, self.many: 25}.get(pressed, 0)):
            value, gradient = self._gradient()
            self.history.append(value)
            self.angles = self.angles - STEP * self.temperature.value * gradient * (180 / math.pi)
        self._show_angle()

    def _scatter(self) -> None:
        # none upon another
        places = torch.randperm(2 * IMAGES, generator=self.generator) * 360 / (2 * IMAGES)
        self.angles = places + torch.rand(2 * IMAGES, generator=self.generator) * 20 - 180

    def _show_angle(self) -> None:
        self._moving = True  # the slider follows the point here, not the point the slider
        self.angle.value = round((float(self.angles[self.point.value]) + 180) % 360 - 180)
        self._moving = False

    def _changed(self, change) -> None:
        if self._moving:
            return
        if change["owner"] is not self.point:
            self.history = []  # another loss begins
        if change["owner"] is self.angle:
            self.angles[self.point.value] = float(self.angle.value)
        self.redraw()

    def _gradient(self) -> tuple[float, torch.Tensor]:
        angles = self.angles.clone().requires_grad_()
        loss = self.loss(angles)
        loss.backward()
        return loss.item(), angles.grad * (180 / math.pi)  # by radian

    def draw(self, canvas: Canvas) -> str:
        loss, gradient = self._gradient()
        turns = [-turn * STEP * self.temperature.value for turn in gradient.tolist()]
        draw_circle(canvas, 240, 232, 172, self.angles.tolist(), turns, self.point.value)
        unit = torch.deg2rad(self.angles)
        same = torch.cos(unit[:IMAGES] - unit[IMAGES:]).mean().item()
        every = torch.cos(unit[:, None] - unit[None])
        other = (every.sum() - 2 * IMAGES - 2 * IMAGES * same).item() / (
            2 * IMAGES * (2 * IMAGES - 2)
        )
        found = contrastive_rank(torch.stack([unit.cos(), unit.sin()], dim=1))[0].item()
        canvas.text(480, 34, f"loss  {loss:.3f}", 26, bold=True)
        canvas.text(680, 36, f"chance {math.log(2 * IMAGES - 1):.3f}", 16, "#555555")
        canvas.text(480, 92, "similarity of the two views of an image (mean)", 16)
        canvas.scale(490, 138, 400, same, POSITIVE, label=f"{same:.2f}")
        canvas.text(480, 190, "similarity of views of different images (mean)", 16)
        canvas.scale(490, 236, 400, other, NEGATIVE, marker="diamond", label=f"{other:.2f}")
        if len(self.history) > 1:
            values = [*self.history, loss]
            top, bottom = max(*values, 0.1), 0.0
            points = [
                (490 + 400 * k / (len(values) - 1), 452 - 72 * (v - bottom) / (top - bottom))
                for k, v in enumerate(values)
            ]
            canvas.line([(490, 452), (890, 452)], OTHER, 1.5)
            canvas.line(points, VIEW_A, 3)
            canvas.text(490, 362, f"loss over {len(self.history)} gradient steps", 15, "#555555")
        canvas.line([(490, 290), (530, 290)], POSITIVE, 3, dashed=True)
        canvas.text(542, 290, "joins the two views of an image", 15, "#555555")
        canvas.arrow(490, 322, 530, 322, NEGATIVE, 4)
        canvas.text(542, 322, "where one gradient step takes a point", 15, "#555555")
        return (
            f"Loss {loss:.2f}: the views of an image have similarity {same:.2f}, views of "
            f"different images {other:.2f}; {found:.0%} of the points have their partner nearest."
        )
