"""Give labels by clicking: choose a class, click on its images. What was clicked is kept in a file."""

import html
import json
from pathlib import Path

import ipywidgets
import torch
from torch import Tensor

from helpers.artifacts import write_aside
from helpers.own_images import OwnImages
from helpers.widgets.canvas import Canvas

PAGE, ENOUGH, GOOD = 12, 5, 20  # images shown; labels a class to begin with; and for a comparison that tells more


class LabelBoard:
    """Pages of one's own images, with a button under each that gives it the chosen class, or takes it back.

    Labels that the folder tells are there from the start; a click overrides them.

    Args:
        images: To label.
        file: Where clicks are kept, as JSON; they are there again when the notebook is opened anew.
    """

    def __init__(self, images: OwnImages, file: Path):
        self.images, self.file, self.page = images, Path(file), 0
        kept = self._kept()
        self.clicks: dict[str, str] = kept["labels"]
        self.folders = kept["folders"] or list(images.classes)  # what the classes of folders are called now
        self.before: list[tuple[str, str | None]] = []  # what each click changed, to undo it
        self.problem = ""
        names = list(dict.fromkeys([*(kept["classes"] or images.classes or ("A", "B"))]))
        self.order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).tolist()
        self.names = ipywidgets.Text(_joined(names), description="classes", continuous_update=False,
                                     layout=ipywidgets.Layout(width="480px"))
        self.current = ipywidgets.ToggleButtons(options=names, description="click gives",
                                                style={"button_width": "auto"})
        self.pictures = [ipywidgets.Image(format="jpeg", layout=ipywidgets.Layout(width="110px", height="110px"))
                         for _ in range(min(PAGE, len(images)))]
        self.buttons = [ipywidgets.Button(layout=ipywidgets.Layout(width="110px")) for _ in self.pictures]
        self.more = ipywidgets.Button(description="other images")
        self.undo = ipywidgets.Button(description="undo the last click")
        self.sentence = ipywidgets.HTML()
        grid = ipywidgets.Box([ipywidgets.VBox(list(pair)) for pair in zip(self.pictures, self.buttons, strict=True)],
                              layout=ipywidgets.Layout(display="flex", flex_flow="row wrap", max_width="760px"))
        self.widget = ipywidgets.VBox([ipywidgets.HBox([self.names]), self.current, grid,
                                       ipywidgets.HBox([self.more, self.undo]), self.sentence])
        for place, each in enumerate(self.buttons):
            each.on_click(lambda _, place=place: self.click(place))
        self.names.observe(self._rename, "value")
        self.more.on_click(self._turn)
        self.undo.on_click(self._undo)
        self._show()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names."""
        return tuple(self.current.options)

    def labels(self) -> Tensor:
        """Return the labels, int64 (N,): places in `classes`, -1 where there is none."""
        places = {name: place for place, name in enumerate(self.classes)}
        return torch.tensor([places.get(self._label(row), -1) for row in range(len(self.images))], dtype=torch.int64)

    def click(self, place: int) -> None:
        """Give the image at a place of the page the chosen class, or take that away again."""
        row = self._rows()[place]
        name, same = self.images.names[row], self._label(row) == self.current.value
        self.before.append((name, self.clicks.get(name)))
        self.clicks[name] = "" if same else self.current.value
        self._keep()
        self._show()

    def _label(self, row: int) -> str:
        own = int(self.images.labels[row])
        label = self.clicks.get(self.images.names[row], self.folders[own] if own >= 0 else "")
        return label if label in self.classes else ""

    def _rows(self) -> list[int]:
        start = self.page * PAGE
        return [self.order[(start + k) % len(self.order)] for k in range(len(self.pictures))]

    def _show(self) -> None:
        for row, image, under in zip(self._rows(), self.pictures, self.buttons, strict=True):
            canvas = Canvas(96, 96)
            canvas.image(self.images.large[row], 0, 0, 96)
            image.value = canvas.jpeg()
            label = self._label(row)
            under.description, under.tooltip = label or "no label", f"label {self.images.names[row]}"
            under.button_style = "success" if label == self.current.value else ""
        self.sentence.value = f'<p style="font-size:17px;margin:4px 0">{html.escape(self.text)}</p>'

    @property
    def text(self) -> str:
        """How many labels there are, and whether that suffices."""
        counts = self.labels()[self.labels() >= 0].bincount(minlength=len(self.classes)).tolist()
        told = ", ".join(f"{name} {count}" for name, count in zip(self.classes, counts, strict=True))
        short = [name for name, count in zip(self.classes, counts, strict=True) if count < ENOUGH]
        rough = "" if min(counts) >= GOOD else f" With {GOOD} of each, the comparison would begin to tell."
        return f"{self.problem}Labels: {told}. " + (
            f"Please go on to {ENOUGH} each: {', '.join(short)}." if short else f"Enough to try the options.{rough}")

    def _rename(self, change) -> None:
        parts = change["new"].split(";" if ";" in change["new"] else ",")
        names, old = list(dict.fromkeys(name.strip() for name in parts if name.strip())), self.classes
        if len(names) < 2:
            self.names.value = _joined(old)  # one class tells nothing apart
            return
        chosen = self.current.value
        if len(names) == len(old) and set(names) != set(old):  # other names for the same classes: their labels stay
            new = dict(zip(old, names, strict=True))
            self.clicks = {image: new.get(label, label) for image, label in self.clicks.items()}
            self.folders, chosen = [new.get(name, name) for name in self.folders], new[chosen]
            self.before.clear()
        self.current.options = names
        self.current.value = chosen if chosen in names else names[0]
        self._keep()
        self._show()

    def _turn(self, _) -> None:
        self.page += 1
        self._show()

    def _undo(self, _) -> None:
        if self.before:
            name, label = self.before.pop()
            self.clicks.pop(name, None)
            self.clicks |= {} if label is None else {name: label}
        self._keep()
        self._show()

    def _keep(self) -> None:
        kept = {"classes": self.classes, "labels": self.clicks, "folders": self.folders}
        try:
            with write_aside(self.file) as aside:
                aside.write_text(json.dumps(kept, ensure_ascii=False), "utf-8")
            self.problem = ""
        except OSError as error:  # they last as long as the notebook is open
            self.problem = f"Not kept: {error}. "

    def _kept(self) -> dict:
        try:
            found = json.loads(self.file.read_text("utf-8"))
            labels = {str(name): str(label) for name, label in found["labels"].items()}
            folders = [str(name) for name in found["folders"]]
            if len(folders) != len(self.images.classes):  # kept of another folder
                folders = []
            return {"classes": [str(name) for name in found["classes"]], "labels": labels, "folders": folders}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {"classes": [], "labels": {}, "folders": []}

    def static(self) -> bytes:
        """Return the page as it is, as PNG, for where no kernel runs."""
        canvas = Canvas(960, 330)
        for k, row in enumerate(self._rows()):
            x, y = 10 + 158 * (k % 6), 8 + 160 * (k // 6)
            canvas.image(self.images.large[row], x, y, 120)
            canvas.text(x + 60, y + 136, self._label(row) or "no label", 15, anchor="mm")
        return canvas.png()

    def _repr_mimebundle_(self, include=None, exclude=None):
        bundle = {"text/plain": self.text, "image/png": self.static(), "application/vnd.jupyter.widget-view+json": {
            "version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}}
        return bundle, {"image/png": {"alt": self.text}}


def _joined(names: list[str] | tuple[str, ...]) -> str:
    return ("; " if any("," in name for name in names) else ", ").join(names)
