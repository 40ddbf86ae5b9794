"""What all explorers share: controls on top, the picture large, one sentence underneath, and a
static picture.
"""

import html
import threading
from functools import lru_cache

import ipywidgets

from helpers.widgets.canvas import SCALE, Canvas, with_minus
from helpers.widgets.shown import picture_bundle

WIDTH = 960  # page pixels of every explorer's picture


@lru_cache(32)
def shared(load, *arguments):
    """Return load(*arguments), loaded once a session: networks and images that explorers look at
    and never change.

    ipywidgets keeps every widget that was ever made, so what an explorer holds stays when its cell
    is run again.
    """
    return load(*arguments)


class Explorer:
    """A picture that follows its controls: the base of every explorer, shown where it is a cell's
    last line.

    A subclass makes its controls, calls this, and writes `draw`.

    Args:
        controls: The widgets that the picture depends on, in the order in which they are shown.
        height: Of the picture in page pixels.
    """

    def __init__(self, controls: list[ipywidgets.Widget], height: int):
        self.controls, self.height = controls, height
        # An Image whose bytes change does not flicker and keeps nothing, unlike an Output area. It
        # has no alt text, and its tooltip breaks it in ipywidgets 8.1: the sentence below says the
        # same to everyone.
        self.image = ipywidgets.Image(
            format="jpeg", layout=ipywidgets.Layout(width=f"{WIDTH}px", max_width="100%")
        )
        self.sentence = ipywidgets.HTML()
        box = ipywidgets.Layout(
            display="flex", flex_flow="row wrap", align_items="center", max_width=f"{WIDTH}px"
        )
        self.widget = ipywidgets.VBox(
            [ipywidgets.Box(controls, layout=box), self.image, self.sentence]
        )
        self._lock = threading.Lock()  # callbacks may run on another thread than cells
        for control in controls:
            if isinstance(control, ipywidgets.Button):
                control.on_click(self._pressed)
            else:
                control.observe(self._changed, "value")
        self.redraw()

    def draw(self, canvas: Canvas) -> str:
        """Draw the picture for the controls as they are, and return the sentence that says what is
        seen.
        """
        raise NotImplementedError

    def press(self, button: ipywidgets.Button) -> None:
        """Do what a button asks for; the picture is drawn again after it."""

    def redraw(self) -> None:
        """Bring picture and sentence up to date."""
        with self._lock:
            canvas = Canvas(WIDTH, self.height)
            self.text = with_minus(self.draw(canvas))
            self.image.value = canvas.jpeg()
            self.sentence.value = (
                f'<p style="font-size:17px;line-height:1.4;margin:4px '
                f'0">{html.escape(self.text)}</p>'
            )

    def _changed(self, _) -> None:
        self.redraw()

    def _pressed(self, button: ipywidgets.Button) -> None:
        with self._lock:
            self.press(button)
        self.redraw()

    def static(self) -> bytes:
        """Return the picture with the controls' values above and the sentence below it, as PNG: all
        that is left to see where no kernel runs."""
        with self._lock:
            picture = Canvas(WIDTH, self.height)
            sentence = self.draw(picture)
            shown = [
                c
                for c in self.controls
                if hasattr(c, "value") and not isinstance(c, ipywidgets.FileUpload)
            ]
            values = "   ·   ".join(f"{c.description}: {_readable(c)}" for c in shown)
            probe = Canvas(WIDTH, 1)
            top = probe.paragraph(8, 0, WIDTH - 16, values, 14) + 8
            bottom = probe.paragraph(8, 0, WIDTH - 16, sentence, 17) + 12
            whole = Canvas(WIDTH, round(top + self.height + bottom))
            whole.paragraph(8, 4, WIDTH - 16, values, 14, "#555555")
            whole.picture.paste(picture.picture, (0, round(round(top) * SCALE)))
            whole.paragraph(8, top + self.height + 4, WIDTH - 16, sentence, 17)
            return whole.png()

    def _repr_mimebundle_(self, include=None, exclude=None):
        return picture_bundle(self.widget, self.text, self.static())


def _readable(control: ipywidgets.Widget) -> str:
    if hasattr(control, "label"):  # a choice is shown by its name; that of the first one comes late
        return str(control.label or control.value)
    value = control.value
    return ("on" if value else "off") if isinstance(value, bool) else f"{value:g}"


def slider(
    description: str,
    value: float,
    low: float,
    high: float,
    step: float,
    width: int = 300,
    label: int = 110,
) -> ipywidgets.Widget:
    """Return a slider, of whole numbers where all of its numbers are whole."""
    whole = all(isinstance(number, int) for number in (value, low, high, step))
    kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    options = {} if whole else {"readout_format": ".2f"}
    return kind(
        value=value,
        min=low,
        max=high,
        step=step,
        description=description,
        continuous_update=True,
        style={"description_width": f"{label}px"},
        layout=ipywidgets.Layout(width=f"{width}px"),
        **options,
    )


def dropdown(
    description: str, options, value=None, width: int = 300, label: int = 110
) -> ipywidgets.Dropdown:
    """Return a list to choose from."""
    first = options[0][1] if isinstance(options[0], tuple) else options[0]
    return ipywidgets.Dropdown(
        options=options,
        value=first if value is None else value,
        description=description,
        style={"description_width": f"{label}px"},
        layout=ipywidgets.Layout(width=f"{width}px"),
    )


def steps(
    description: str, options, value=None, width: int = 300, label: int = 110
) -> ipywidgets.SelectionSlider:
    """Return a slider over a few given values."""
    first = options[0][1] if isinstance(options[0], tuple) else options[0]
    return ipywidgets.SelectionSlider(
        options=options,
        value=first if value is None else value,
        description=description,
        continuous_update=True,
        style={"description_width": f"{label}px"},
        layout=ipywidgets.Layout(width=f"{width}px"),
    )


def button(description: str, tooltip: str, width: int = 150) -> ipywidgets.Button:
    """Return a button."""
    return ipywidgets.Button(
        description=description, tooltip=tooltip, layout=ipywidgets.Layout(width=f"{width}px")
    )


def checkbox(description: str, value: bool, width: int = 150) -> ipywidgets.Checkbox:
    """Return a box to tick."""
    return ipywidgets.Checkbox(
        value=value,
        description=description,
        indent=False,
        layout=ipywidgets.Layout(width=f"{width}px"),
    )
