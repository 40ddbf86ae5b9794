"""Give labels by clicking on images. They are kept in a file, and every change can be undone."""

import html
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import ipywidgets
import torch
from torch import Tensor

from helpers.artifacts import write_text
from helpers.own_images import OwnImages
from helpers.widgets.canvas import Canvas
from helpers.widgets.shown import picture_bundle

# images shown; labels a class to begin with; and for a comparison that tells more
PAGE, ENOUGH, GOOD = (
    12,
    5,
    20,
)
TAKE_OFF = ""  # what becomes of labels that no class shall have


@dataclass(frozen=True)
class Labels:
    """All that a person has decided: the classes, and which image is of which.

    Attributes:
        classes: Their names.
        clicks: Name of an image to its class, or to "" where the label was taken off.
        folders: What each class folder is called now; its images have that class where no click
            says otherwise.
    """

    classes: tuple[str, ...]
    clicks: dict[str, str]
    folders: tuple[str, ...]

    def label(self, name: str, folder: int) -> str:
        """Return the class of an image, "" if it has none; `folder` is the place of its folder, or
        -1.
        """
        by_folder = self.folders[folder] if folder >= 0 else ""
        label = self.clicks.get(name, by_folder)
        return label if label in self.classes else ""

    def clicked(self, name: str, label: str) -> "Labels":
        """Return these labels with another one for an image."""
        return Labels(self.classes, self.clicks | {name: label}, self.folders)

    def renamed(self, classes: tuple[str, ...], becomes: dict[str, str]) -> "Labels":
        """Return these labels with other classes; `becomes` says what replaces the names that are
        gone.
        """
        clicks = {name: becomes.get(label, label) for name, label in self.clicks.items()}
        folders = tuple(becomes.get(label, label) for label in self.folders)
        return Labels(classes, clicks, folders)


class LabelBoard:
    """Pages of one's own images, with a button under each that gives it the chosen class, or takes
    it back.

    Labels that the folder tells are there from the start; a click overrides them. A class that
    stays keeps its labels; where one name goes and one comes, the class was renamed; anything else
    that would touch labels is asked first.

    Args:
        images: To label.
        file: Where labels are kept, as JSON, with those before the last change; they are there
            again when the notebook is opened anew.
    """

    def __init__(self, images: OwnImages, file: Path):
        self.images, self.file, self.page = images, Path(file), 0
        self.state, self.before = self._read_file()  # before: earlier states, the latest last
        self.problem = self.news = ""
        self.question: dict[
            str, ipywidgets.Dropdown
        ] = {}  # gone class to the choice of what becomes of its labels
        self.order = torch.randperm(
            len(images), generator=torch.Generator().manual_seed(0)
        ).tolist()
        self.names = ipywidgets.Text(
            _joined(self.classes),
            description="classes",
            continuous_update=False,
            layout=ipywidgets.Layout(width="480px", max_width="100%"),
        )
        self.asking = ipywidgets.VBox([])
        self.apply = ipywidgets.Button(description="apply", button_style="primary")
        self.cancel = ipywidgets.Button(description="keep it as it was")
        self.current = ipywidgets.ToggleButtons(
            options=self.classes, description="click gives", style={"button_width": "auto"}
        )
        self.pictures = [
            ipywidgets.Image(format="jpeg", layout=ipywidgets.Layout(width="110px", height="110px"))
            for _ in range(min(PAGE, len(images)))
        ]
        self.buttons = [
            ipywidgets.Button(layout=ipywidgets.Layout(width="110px")) for _ in self.pictures
        ]
        self.more = ipywidgets.Button(description="other images")
        self.undo = ipywidgets.Button(description="undo")
        self.sentence = ipywidgets.HTML()
        grid = ipywidgets.Box(
            [ipywidgets.VBox(list(pair)) for pair in zip(self.pictures, self.buttons, strict=True)],
            layout=ipywidgets.Layout(display="flex", flex_flow="row wrap", max_width="760px"),
        )
        self.widget = ipywidgets.VBox(
            [
                ipywidgets.HBox([self.names]),
                self.asking,
                self.current,
                grid,
                ipywidgets.HBox([self.more, self.undo]),
                self.sentence,
            ]
        )
        for place, button in enumerate(self.buttons):
            button.on_click(lambda _, place=place: self.click(place))
        self.names.observe(lambda change: self._names_written(change["new"]), "value")
        self.current.observe(lambda _: self._show(), "value")
        self.apply.on_click(lambda _: self._answered())
        self.cancel.on_click(lambda _: self._set_state(self.state))
        self.more.on_click(lambda _: self._turn())
        self.undo.on_click(lambda _: self._undo())
        self._show()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names."""
        return self.state.classes

    def labels(self) -> Tensor:
        """Return the labels, int64 (N,): places in `classes`, -1 where there is none."""
        places = {name: place for place, name in enumerate(self.classes)}
        return torch.tensor(
            [places.get(self._label(row), -1) for row in range(len(self.images))], dtype=torch.int64
        )

    def click(self, place: int) -> None:
        """Give the image at a place of the page the chosen class, or take that away again."""
        row = self._rows()[place]
        chosen = self.current.value
        label = TAKE_OFF if self._label(row) == chosen else chosen
        self._change(self.state.clicked(self.images.names[row], label))

    def _label(self, row: int) -> str:
        return self.state.label(self.images.names[row], int(self.images.labels[row]))

    def _counts(self) -> Counter:
        return Counter(self._label(row) for row in range(len(self.images)))

    def _rows(self) -> list[int]:
        start = self.page * PAGE
        return [self.order[(start + k) % len(self.order)] for k in range(len(self.pictures))]

    def _show(self) -> None:
        for row, image, button in zip(self._rows(), self.pictures, self.buttons, strict=True):
            canvas = Canvas(96, 96)
            canvas.image(self.images.large[row], 0, 0, 96)
            image.value = canvas.jpeg()
            label = self._label(row)
            button.description, button.tooltip = (
                label or "no label",
                f"label {self.images.names[row]}",
            )
            button.button_style = "success" if label == self.current.value else ""
        self.undo.disabled = not self.before
        self.sentence.value = f'<p style="font-size:17px;margin:4px 0">{html.escape(self.text)}</p>'

    @property
    def text(self) -> str:
        """What the last change did, how many labels there are, and whether that suffices."""
        counts = self._counts()
        listed = ", ".join(f"{name} {counts[name]}" for name in self.classes)
        short = [name for name in self.classes if counts[name] < ENOUGH]
        rough = (
            ""
            if min(counts[name] for name in self.classes) >= GOOD
            else (f" With {GOOD} of each, the comparison would begin to tell.")
        )
        return f"{self.problem}{self.news}Labels: {listed}. " + (
            f"Please go on to {ENOUGH} each: {', '.join(short)}."
            if short
            else f"Enough to try the options.{rough}"
        )

    def _names_written(self, text: str) -> None:
        names = _parsed(text)
        if names == self.classes:
            if self.question:  # written back as it was
                self._set_state(self.state)
            return
        if len(names) < 2:  # one class tells nothing apart
            self._set_state(self.state)
            return
        gone = [name for name in self.classes if name not in names]
        come = [name for name in names if name not in self.classes]
        counts = self._counts()
        labelled = [name for name in gone if counts[name]]
        if len(gone) == len(come) == 1:
            news = (
                f"{gone[0]} is called {come[0]} now: {_plural(counts[gone[0]])} follow. Undo takes "
                "it back. "
            )
            self._rename(names, {gone[0]: come[0]}, news if labelled else "")
        elif labelled:
            self._ask(labelled, names)
        else:
            self._rename(names, dict.fromkeys(gone, TAKE_OFF))

    def _ask(self, labelled: list[str], names: tuple[str, ...]) -> None:
        """Ask what becomes of the labels of classes that are gone; until it is answered, nothing
        changes.
        """
        counts = self._counts()
        self.question = {}
        lines = []
        for name in labelled:
            choice = ipywidgets.Dropdown(
                options=[
                    ("choose …", None),
                    *((f"become {new}", new) for new in names),
                    ("are taken off", TAKE_OFF),
                ]
            )
            choice.observe(lambda _: self._may_apply(), "value")
            told = html.escape(f"{name} is no longer a class. Its {_plural(counts[name])}")
            lines.append(ipywidgets.HBox([ipywidgets.HTML(told), choice]))
            self.question[name] = choice
        self.asking.children = [*lines, ipywidgets.HBox([self.apply, self.cancel])]
        self._may_apply()

    def _may_apply(self) -> None:
        self.apply.disabled = any(choice.value is None for choice in self.question.values())

    def _answered(self) -> None:
        becomes = {name: choice.value for name, choice in self.question.items()}
        if None in becomes.values():
            return
        names = _parsed(self.names.value)
        counts = self._counts()
        news = [
            f"{_plural(counts[name])} of {name} {f'became {new}' if new else 'were taken off'}. "
            for name, new in becomes.items()
        ]
        others = [name for name in self.classes if name not in names and name not in becomes]
        self._rename(
            names,
            becomes | dict.fromkeys(others, TAKE_OFF),
            "".join([*news, "Undo takes it back. "]),
        )

    def _rename(self, names: tuple[str, ...], becomes: dict[str, str], news: str = "") -> None:
        chosen = becomes.get(self.current.value, self.current.value)
        self._change(self.state.renamed(names, becomes), news, chosen)

    def _change(self, state: Labels, news: str = "", chosen: str | None = None) -> None:
        self.before.append(self.state)
        self._set_state(state, news, chosen)
        self._write_file()
        self._show()  # whether it could be kept

    def _undo(self) -> None:
        if not self.before:
            return
        self._set_state(self.before.pop(), "The last change is undone. ")
        self._write_file()
        self._show()

    def _set_state(self, state: Labels, news: str = "", chosen: str | None = None) -> None:
        """Show a state, and no question any more; `chosen` is the class that a click gives, the
        present one if None.
        """
        chosen = self.current.value if chosen is None else chosen
        self.state, self.news = state, news
        self.question = {}
        self.asking.children = []
        if tuple(self.current.options) != state.classes:
            self.current.options = state.classes
            self.current.value = chosen if chosen in state.classes else state.classes[0]
        self.names.value = _joined(state.classes)
        self._show()

    def _turn(self) -> None:
        self.page += 1
        self._show()

    def _write_file(self) -> None:
        content = _as_json(self.state)
        if self.before:
            content["before"] = _as_json(self.before[-1])
        try:
            write_text(self.file, json.dumps(content, ensure_ascii=False))
            self.problem = ""
        except OSError as error:  # they last as long as the notebook is open
            self.problem = f"Not kept: {error}. "

    def _read_file(self) -> tuple[Labels, list[Labels]]:
        """Return the labels as they were kept, and those before the last change."""
        classes = tuple(dict.fromkeys(self.images.classes)) or ("A", "B")
        start = Labels(classes, {}, tuple(self.images.classes))
        try:
            content = json.loads(self.file.read_text("utf-8"))
            state = self._from_json(content, start)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return start, []
        try:
            return state, [self._from_json(content["before"], start)]
        except (ValueError, KeyError, TypeError, AttributeError):
            return state, []

    def _from_json(self, content: dict, start: Labels) -> Labels:
        clicks = {str(name): str(label) for name, label in content["labels"].items()}
        folders = tuple(str(name) for name in content["folders"])
        if len(folders) != len(self.images.classes):  # kept of another folder
            folders = start.folders
        classes = tuple(dict.fromkeys(str(name) for name in content["classes"])) or start.classes
        return Labels(classes, clicks, folders)

    def static(self) -> bytes:
        """Return the page as it is, as PNG, for where no kernel runs."""
        canvas = Canvas(960, 330)
        for k, row in enumerate(self._rows()):
            x, y = 10 + 158 * (k % 6), 8 + 160 * (k // 6)
            canvas.image(self.images.large[row], x, y, 120)
            canvas.text(x + 60, y + 136, self._label(row) or "no label", 15, anchor="mm")
        return canvas.png()

    def _repr_mimebundle_(self, include=None, exclude=None):
        return picture_bundle(self.widget, self.text, self.static())


def _parsed(text: str) -> tuple[str, ...]:
    parts = text.split(";" if ";" in text else ",")
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _joined(names: tuple[str, ...]) -> str:
    return ("; " if any("," in name for name in names) else ", ").join(names)


def _plural(count: int) -> str:
    return f"{count} label{'s' * (count != 1)}"


def _as_json(labels: Labels) -> dict:
    return {"classes": labels.classes, "labels": labels.clicks, "folders": labels.folders}
