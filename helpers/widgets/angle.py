"""Cosine similarity from the dot product up: two arrows, an angle, and what stays when a length
changes.
"""

import math

from helpers.plotting import CHOSEN, NEGATIVE, OTHER, POSITIVE, TEXT, VIEW_A, VIEW_B
from helpers.widgets.canvas import Canvas
from helpers.widgets.explorer import Explorer, slider


class AngleExplorer(Explorer):
    """Two vectors in the plane; sliders for the angle between them and for the length of the
    second.
    """

    def __init__(self):
        self.angle = slider("angle (degrees)", 40, -180, 180, 1, width=440)
        self.length = slider("length of b", 1.0, 0.25, 2.0, 0.05, width=400)
        super().__init__([self.angle, self.length], height=400)

    def draw(self, canvas: Canvas) -> str:
        theta, length = math.radians(self.angle.value), self.length.value
        a, b = (1.0, 0.0), (length * math.cos(theta), length * math.sin(theta))
        dot = a[0] * b[0] + a[1] * b[1]
        cosine = dot / length
        x, y, unit = 200, 205, 84
        canvas.circle(x, y, unit, None, "#DDDDDD", 1.5)
        if self.angle.value:
            start, end = sorted((0.0, -self.angle.value))
            canvas.arc(x, y, 36, start, end, CHOSEN, 4)
        canvas.line(
            [(x + b[0] * unit, y - b[1] * unit), (x + b[0] * unit, y)], OTHER, 1.5, dashed=True
        )
        canvas.arrow(x, y, x + unit, y, VIEW_A, 5)
        canvas.arrow(x, y, x + b[0] * unit, y - b[1] * unit, VIEW_B, 5)
        canvas.text(
            x + unit + 8, y + (16 if self.angle.value >= 0 else -16), "a", 22, VIEW_A, bold=True
        )
        end = (x + b[0] * unit + 18 * math.cos(theta), y - b[1] * unit - 18 * math.sin(theta))
        canvas.text(*end, "b", 22, TEXT, "mm", bold=True)
        lines = (
            ("dot product  a · b", f"1 × {b[0]:.2f} + 0 × {b[1]:.2f} = {dot:.2f}"),
            ("lengths  |a|, |b|", f"1.00, {length:.2f}"),
            ("cosine  a · b / (|a| |b|)", f"{dot:.2f} / {length:.2f} = {cosine:.3f}"),
        )
        for row, (name, value) in enumerate(lines):
            canvas.text(440, 60 + 44 * row, name, 18, "#555555")
            canvas.text(655, 60 + 44 * row, value, 20 if row == 2 else 18, bold=row == 2)
        color = POSITIVE if cosine > 0 else NEGATIVE if cosine < 0 else OTHER
        canvas.scale(460, 280, 460, cosine, color, label=f"{cosine:.2f}")
        for place, text, anchor in (
            (455, "opposite", "lt"),
            (690, "at right angles", "mt"),
            (925, "same direction", "rt"),
        ):
            canvas.text(place, 318, text, 16, "#555555", anchor)
        where = (
            "point the same way"
            if cosine > 0.995
            else "point in opposite ways"
            if cosine < -0.995
            else "are at right angles"
            if abs(cosine) < 0.01
            else "point more the same way than not"
            if cosine > 0
            else "point more in opposite ways than not"
        )
        return (
            f"At {self.angle.value}° the arrows {where}: cosine similarity {cosine:.2f}. The "
            f"length of b changes the dot product ({dot:.2f}), and never the cosine."
        )
