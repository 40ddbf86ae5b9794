"""A guess before the answer: it is kept, also when the notebook is opened again, and met by the
result later on.
"""

import html
import json
from contextlib import suppress

import ipywidgets

from helpers.artifacts import cache_dir, write_text
from helpers.widgets.shown import widget_view


class Prediction:
    """A question with answers to choose from, shown where it is a cell's last line; `reveal` meets
    it with the result.

    Args:
        name: Under which the guess is kept.
        question: What is asked.
        answers: To choose among.
    """

    def __init__(self, name: str, question: str, answers: tuple[str, ...]):
        self.name, self.question, self.answers = name, question, answers
        kept = _guesses().get(name)
        self.choice = ipywidgets.RadioButtons(
            options=answers,
            value=kept if kept in answers else None,
            layout=ipywidgets.Layout(width="auto"),
        )
        self.choice.observe(self._keep, "value")
        title = ipywidgets.HTML(
            f'<p style="font-size:17px;margin:4px 0"><b>{html.escape(question)}</b></p>'
        )
        self.widget = ipywidgets.VBox([title, self.choice])

    @property
    def guess(self) -> str | None:
        """The answer that was chosen, None where none was."""
        return self.choice.value

    def reveal(self, answer: str) -> str:
        """Return a line that sets the guess beside what was measured."""
        if self.guess is None:
            return f"You made no guess. Measured: {answer}."
        return f"Your guess: {self.guess}. Measured: {answer}."

    def _keep(self, change) -> None:
        with suppress(OSError):  # where nothing can be written, it is kept in memory only
            write_text(_path(), json.dumps(_guesses() | {self.name: change["new"]}))

    def _repr_mimebundle_(self, include=None, exclude=None):
        text = f"{self.question} " + " / ".join(self.answers)
        return {
            "text/plain": text,
            **widget_view(self.widget),
        }


def _path():
    return cache_dir() / "guesses.json"


def _guesses() -> dict:
    try:
        found = json.loads(_path().read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
