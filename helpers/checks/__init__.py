"""Exercises: `check` tells whether an answer is right, and which mistake it looks like; `hint`
helps a step further.

Mistakes are found by what they compute: the inputs are chosen so that each known mistake gives
other values.
"""

import difflib

from helpers.checks.exercise import Exercise, Feedback, examine
from helpers.checks.nb01 import MASK, ROTATION
from helpers.checks.nb02 import JITTER, TWO_VIEWS
from helpers.checks.nb03 import NT_XENT, NT_XENT_LOOPS, PARTNER, SIMILARITY
from helpers.checks.nb04 import KNN, SCHEDULE, TOP1
from helpers.checks.nb05 import FREEZE, LABELS, OPTION, PROBE
from helpers.checks.nb06 import BEST_PAIR, VERDICT

__all__ = ["Exercise", "Feedback", "check", "exercises", "find", "hint"]

_EXERCISES = {
    each.name: each
    for each in (
        MASK,
        ROTATION,
        TWO_VIEWS,
        JITTER,
        SIMILARITY,
        PARTNER,
        NT_XENT_LOOPS,
        NT_XENT,
        TOP1,
        KNN,
        SCHEDULE,
        LABELS,
        FREEZE,
        PROBE,
        OPTION,
        BEST_PAIR,
        VERDICT,
    )
}
_hints_given: dict[str, int] = {}


class NoExercise(ValueError):
    """Raised for a name that no exercise has."""

    def _render_traceback_(self) -> list[str]:  # one line in a notebook
        return [str(self)]


class Note(str):
    """A text that a notebook shows without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


def exercises() -> tuple[str, ...]:
    """Return the names of all exercises, in the order of the notebooks."""
    return tuple(_EXERCISES)


def find(name: str) -> Exercise:
    """Return an exercise by its name.

    Raises:
        NoExercise: If there is none.
    """
    if name not in _EXERCISES:
        near = difflib.get_close_matches(str(name), _EXERCISES, 1)
        meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_EXERCISES)}"
        raise NoExercise(f"there is no exercise {name!r}; {meant}")
    return _EXERCISES[name]


def check(name: str, answer) -> Feedback:
    """Return feedback on an answer: passed, or what was tried, what came out, what was expected,
    and which known mistake computes just that.

    Args:
        name: Of the exercise.
        answer: The function that was written.

    Raises:
        NoExercise: If there is no such exercise.
    """
    return examine(find(name), answer)


def hint(name: str) -> Note:
    """Return the next hint for an exercise; after the last one, they begin again.

    Raises:
        NoExercise: If there is no such exercise.
    """
    hints = find(name).hints
    given = _hints_given.get(name, 0)
    _hints_given[name] = given + 1
    return Note(f"Hint {given % len(hints) + 1} of {len(hints)}: {hints[given % len(hints)]}")
