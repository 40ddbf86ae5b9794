"""Multiple choice with a reply to every answer; where no kernel runs, the questions can be read and
unfolded.
"""

import html

import ipywidgets

from helpers.widgets.questions import QUESTIONS
from helpers.widgets.shown import widget_view


class Quiz:
    """The questions of one notebook, shown where it is a cell's last line.

    Args:
        notebook: Its number, such as "01".

    Raises:
        ValueError: If there are no questions for it.
    """

    def __init__(self, notebook: str):
        if notebook not in QUESTIONS:
            raise ValueError(
                f"there are no questions for notebook {notebook!r}; there are for "
                f"{', '.join(QUESTIONS)}"
            )
        self.questions = QUESTIONS[notebook]
        self.choices, self.replies, boxes = [], [], []
        for number, question in enumerate(self.questions, 1):
            title = ipywidgets.HTML(
                f'<p style="{_STYLE}"><b>{number}. {html.escape(question.text)}</b></p>'
            )
            choice = ipywidgets.RadioButtons(
                options=[answer for answer, _ in question.shown()],
                value=None,
                layout=ipywidgets.Layout(width="auto"),
            )
            reply = ipywidgets.HTML()
            choice.observe(lambda _, k=number - 1: self._answer(k), "value")
            self.choices.append(choice)
            self.replies.append(reply)
            boxes.append(ipywidgets.VBox([title, choice, reply]))
        self.widget = ipywidgets.VBox(boxes)

    def _answer(self, k: int) -> None:
        question, place = self.questions[k], self.choices[k].index
        if place is not None:
            self.replies[
                k
            ].value = f'<p style="{_STYLE}">{html.escape(question.shown()[place][1])}</p>'

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {
            "text/plain": "\n".join(question.text for question in self.questions),
            "text/html": self.static(),
            **widget_view(self.widget),
        }

    def static(self) -> str:
        """Return the questions as HTML: each answer unfolds to its reply."""
        parts = []
        for number, question in enumerate(self.questions, 1):
            answers = "".join(
                f"<details><summary>{html.escape(answer)}</summary>{html.escape(reply)}</details>"
                for answer, reply in question.shown()
            )
            parts.append(f"<p><b>{number}. {html.escape(question.text)}</b></p>{answers}")
        return "".join(parts)


_STYLE = "font-size:16px;line-height:1.4;margin:4px 0"
