"""What an exercise is, and how an answer is checked: by what it computes, beside the right values
and the mistakes'.
"""

import copy
import html
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from helpers.checks.guard import TooLong, call, line_of

SECONDS = 1.5  # for all that an answer computes


@dataclass(frozen=True)
class Mistake:
    """A known mistake: its name, a question that leads on, and a function that makes it."""

    name: str
    question: str
    wrong: Callable


@dataclass(frozen=True)
class Case:
    """One trial: the arguments, and in words what is tried. `tolerance` is relative, and absolute
    near 0.
    """

    arguments: tuple
    words: str
    tolerance: float = 1e-4


@dataclass(frozen=True)
class Exercise:
    """A function to write.

    Attributes:
        name: How `check` knows it.
        notebook: Its number.
        right: A right answer.
        cases: Chosen so that the mistakes give different values.
        mistakes: The known ones.
        hints: Two or three, each telling more; none tells all.
        observe: Maps (function, *arguments) to what is compared; what it returns, where this is not
            given. Whatever is not determined, such as a random choice, is reduced here to what must
            hold of it.
        remark: Maps (function, *arguments of the first case) to something worth saying of a right
            answer, or "".
        named: The function's name in the notebook, where it is not the exercise's.
    """

    name: str
    notebook: str
    right: Callable
    cases: tuple[Case, ...]
    mistakes: tuple[Mistake, ...]
    hints: tuple[str, ...]
    observe: Callable = lambda function, *arguments: function(*arguments)
    remark: Callable | None = None
    named: str = ""

    @property
    def function(self) -> str:
        """The function's name in the notebook."""
        return self.named or self.name


@dataclass(frozen=True)
class Feedback:
    """What `check` says: whether it is right, which mistake it looks like (None if none is known),
    and the words.
    """

    passed: bool
    mistake: str | None
    message: str

    def __repr__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        color = "#009E73" if self.passed else "#8C8C8C" if self.message == NOT_DONE else "#D55E00"
        text = html.escape(self.message).replace("\n", "<br>")
        return (
            f'<div style="border-left:5px solid {color};padding:2px '
            f'10px;font-size:15px;line-height:1.45">{text}'
            f"</div>"
        )


NOT_DONE = (
    "Not done yet: nothing comes back. (You have written something? Then a return is missing.)"
)


class Trial(NamedTuple):
    """What was seen of an answer in a case: is it wrong, and did it raise or is not finite?"""

    case: Case
    found: object
    failed: bool
    broken: bool


def examine(exercise: Exercise, answer: Callable) -> Feedback:
    """Return feedback on an answer to an exercise, whatever it is."""
    if answer is None or answer is ...:
        return Feedback(False, None, NOT_DONE)
    try:
        if callable(answer):
            return _examine(exercise, answer)
        return Feedback(
            False,
            None,
            f"Pass the function itself, without brackets after its name, not {_short(answer)}: it "
            "is called here with other values.",
        )
    except Exception as error:  # of an object that raises when one only looks at it
        return Feedback(
            False,
            None,
            f"What came back cannot be looked at ({type(error).__name__}). A number, a tensor, a "
            "list or an array can.",
        )


def _examine(exercise: Exercise, answer: Callable) -> Feedback:
    until = time.monotonic() + SECONDS
    trials: list[Trial] = []
    first = None  # the first case that failed: with what came back, and what should have
    empty = []
    for case in exercise.cases:
        expected = _seen(exercise, exercise.right, case, 10 * SECONDS)
        try:
            found = _answer(exercise, answer, case, max(0.05, until - time.monotonic()))
        except TooLong:
            return Feedback(
                False,
                None,
                f"With {case.words}, it did not come back within {SECONDS:g} s and was stopped. "
                "Does a loop never end?",
            )
        except NotHere:
            continue
        if _nothing(found) or (isinstance(found, list) and any(map(_nothing, found))):
            empty.append((case, found))
        failed = not same(found, expected, case.tolerance)
        trials.append(Trial(case, found, failed, _broken(found)))
        if first is None and failed:
            first = case, found, expected
    if empty:
        return _nothing_came_back(exercise, empty)
    if first is None:
        return _right(exercise, answer)
    return _wrong(exercise, trials, *first)


def _answer(exercise: Exercise, answer: Callable, case: Case, seconds: float):
    """Return what a student's function gives in a case: None if it is not done, or its error."""
    try:
        return _seen(exercise, answer, case, seconds)
    except (TooLong, NotHere):
        raise
    except NotDone:
        return None
    except Exception as error:
        message = " ".join(str(error).split())
        return Raised(type(error).__name__, message, line_of(answer, error))


def _nothing_came_back(exercise: Exercise, empty: list[tuple]) -> Feedback:
    if len(empty) == len(exercise.cases) and all(_nothing(found) for _, found in empty):
        return Feedback(False, None, NOT_DONE)
    case, found = empty[0]
    some = "" if _nothing(found) else " for some of them"
    return Feedback(
        False,
        None,
        f"With {case.words}, nothing comes back{some}. Is there a way through without a return?",
    )


def _right(exercise: Exercise, answer: Callable) -> Feedback:
    words = list(dict.fromkeys(case.words for case in exercise.cases))
    tried = "; ".join(words[:5])
    if len(words) > 5:
        tried += f"; and {len(words) - 5} more"
    message = f"Right. Tried: {tried}."
    remark = _remark(exercise, answer)
    return Feedback(True, None, f"{message}\n{remark}" if remark else message)


def _wrong(exercise: Exercise, trials: list[Trial], case: Case, found, expected) -> Feedback:
    yours, right = _differing(found, expected, case.tolerance)
    message = f"With {case.words}: yours gives {yours}; expected {right}."
    until = time.monotonic() + SECONDS
    for mistake in exercise.mistakes:
        if time.monotonic() < until and _computes(exercise, mistake.wrong, trials):
            looks_like = f"This looks like: {mistake.name}. {mistake.question}"
            return Feedback(False, mistake.name, f"{message}\n{looks_like}")
    return Feedback(False, None, f"{message}\n{_look(found, expected)}")


def _seen(exercise: Exercise, function: Callable, case: Case, seconds: float):
    """Return what is observed of a function in a case. It gets copies, which it may change."""
    return _settled(
        call(lambda: exercise.observe(function, *copy.deepcopy(case.arguments)), seconds)
    )


def _remark(exercise: Exercise, answer: Callable) -> str:
    if exercise.remark is None:
        return ""
    try:
        return call(
            lambda: exercise.remark(answer, *copy.deepcopy(exercise.cases[0].arguments)), SECONDS
        )
    # a right answer that is too slow for it, or takes other shapes: nothing to say then
    except Exception:
        return ""


def _nothing(value) -> bool:
    return (
        value is None
        or value is ...
        or (
            isinstance(value, list)
            and bool(value)
            and all(each is None or each is ... for each in value)
        )
    )


def _settled(found):
    """Return a long list as one tensor, so that it is not converted for every mistake; anything
    else as it is.
    """
    if isinstance(found, dict):
        return {name: _settled(each) for name, each in found.items()}
    if isinstance(found, (list, tuple)) and len(found) > 1000:
        numbers = as_numbers(found)
        return found if numbers is None else numbers
    return found


class NotDone(Exception):
    """Raised by an `observe` where the answer returned nothing."""


class NotHere(Exception):
    """Raised by an `observe` where this machine cannot do what the answer asks for, which may be
    right.
    """


@dataclass(frozen=True)
class Raised:
    """What is seen of a call that raised an error; two of one kind are the same."""

    kind: str
    text: str = ""
    line: str = ""

    def __eq__(self, other) -> bool:
        return isinstance(other, Raised) and other.kind == self.kind

    def __hash__(self) -> int:
        return hash(self.kind)


def _computes(exercise: Exercise, wrong: Callable, trials: Sequence[Trial]) -> bool:
    """Tell whether a mistake gives what was seen: in every case, or in all where numbers came and
    in a wrong one.

    Two ways to the same mistake may differ in where they overflow, raise, or lose the gradient.
    """
    everywhere, telling = True, False
    for case, found, failed, broken in trials:
        try:
            made = _seen(exercise, wrong, case, SECONDS)
        except NotHere:
            continue
        except Exception as error:
            made = Raised(type(error).__name__)
        if isinstance(found, dict) and isinstance(made, dict) and found.get("gradient") == "none":
            made = made | {"gradient": "none"}
        if same(found, made, case.tolerance):
            telling |= failed
        elif broken:
            everywhere = False
        else:
            return False
    return everywhere or telling


def _broken(found) -> bool:
    """Tell whether a call raised, or gave a number that is not finite."""
    if isinstance(found, dict):
        return any(map(_broken, found.values()))
    numbers = as_numbers(found)
    return isinstance(found, Raised) or (numbers is not None and not numbers.isfinite().all())


def same(found, expected, tolerance: float = 1e-4) -> bool:
    """Tell whether two observations are equal: numbers up to the tolerance, whatever holds them;
    the rest exactly.

    Numbers in half precision may differ by as much as that leaves open.
    """
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and found.keys() == expected.keys()
            and all(same(found[name], expected[name], tolerance) for name in expected)
        )
    if isinstance(expected, tuple):
        return (
            isinstance(found, (tuple, list))
            and len(found) == len(expected)
            and all(same(a, b, tolerance) for a, b in zip(found, expected, strict=True))
        )
    if isinstance(expected, (str, Raised)):
        return isinstance(found, type(expected)) and found == expected
    a, b = as_numbers(found), as_numbers(expected)
    if a is None or b is None or a.shape != b.shape:
        return False
    tolerance = max(tolerance, 4 * _rounding(found))
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


def _rounding(value) -> float:
    dtype = getattr(value[0] if isinstance(value, list) and value else value, "dtype", None)
    if isinstance(dtype, torch.dtype) and dtype.is_floating_point:
        return torch.finfo(dtype).eps
    return float(np.finfo(dtype).eps) if isinstance(dtype, np.dtype) and dtype.kind == "f" else 0.0


def as_numbers(value) -> Tensor | None:
    """Return numbers, whatever holds them, as a float64 CPU tensor; None if there are none."""
    if value is None or isinstance(value, (str, bytes, dict, Raised)):
        return None
    try:
        if isinstance(value, (list, tuple)) and any(
            issubclass(kind, Tensor) for kind in set(map(type, value))
        ):
            value = torch.stack([torch.as_tensor(each) for each in value])
        if not isinstance(value, Tensor):
            value = np.asarray(value)
            value = np.ascontiguousarray(value) if value.ndim else value
            value = torch.from_numpy(value.astype(np.float64) if value.dtype == object else value)
        value = value.detach().cpu()
        return None if value.is_complex() else value.to_dense().to(torch.float64)
    except Exception:  # whatever it is, it holds no numbers
        return None


def _differing(found, expected, tolerance: float) -> tuple[str, str]:
    """Return both in a few words: of several things those that differ; of numbers that read alike
    the first such.
    """
    if isinstance(expected, dict) and isinstance(found, dict) and found.keys() == expected.keys():
        pairs = {
            name: _differing(found[name], expected[name], tolerance)
            for name in expected
            if not same(found[name], expected[name], tolerance)
        }
        yours, right = (
            ", ".join(f"{name} {pair[k]}" for name, pair in pairs.items())[:500] for k in (0, 1)
        )
        return yours, right
    yours, right = _short(found), _short(expected)
    a, b = as_numbers(found), as_numbers(expected)
    if yours == right and a is not None and b is not None and a.shape == b.shape and a.ndim:
        place = tuple((~torch.isclose(a, b, rtol=tolerance, atol=tolerance)).nonzero()[0].tolist())
        return f"{a[place]:.6g} at {list(place)}", f"{b[place]:.6g} there"
    return yours, right


def _look(found, expected, of: str = "") -> str:
    """Return a question about what is seen from outside, where no known mistake computes this."""
    # the first thing that is not as it should be
    if isinstance(expected, dict) and isinstance(found, dict):
        name = next(
            (name for name in expected if name in found and not same(found[name], expected[name])),
            None,
        )
        if name is not None:
            return _look(found[name], expected[name], f" of the {name}")
    if isinstance(found, Raised):
        where = (
            f"It comes from the line `{found.line}`: what"
            if found.line
            else "Which line raised it, and what"
        )
        return f"An error is not an answer. {where} was it given? Numbers, texts, which shape?"
    if isinstance(expected, str) and as_numbers(found) is not None:
        return (
            "A number came back where a text is wanted. Read the docstring again: what should "
            "come back?"
        )
    if isinstance(expected, (str, tuple, dict)):
        return "No known mistake gives this. Read the docstring again, or ask for a hint."
    a, b = as_numbers(found), as_numbers(expected)
    if a is None:
        return f"That is no number or tensor, but {type(found).__name__}: what should come back?"
    if a.shape != b.shape:
        return (
            f"The shape is {tuple(a.shape)} and should be {tuple(b.shape)}: over which axis did "
            "you sum or index?"
        )
    if a.isnan().any():
        return (
            "There is a NaN: where could 0 / 0, the logarithm of 0, or infinity minus infinity "
            "arise?"
        )
    wrong = ~torch.isclose(a, b, rtol=1e-3, atol=1e-4)
    where = ""
    if a.ndim and wrong.any():
        place = tuple(wrong.nonzero()[0].tolist())
        where = (
            f" First at {list(place)}{of}: {a[place]:.4g} instead of {b[place]:.4g}; "
            f"{wrong.float().mean():.0%} of the numbers differ."
        )
    return (
        f"No known mistake gives these values.{where} Try it on the smallest case by hand, or ask "
        "for a hint."
    )


def _short(value, longest: int = 200) -> str:
    """Return a value in a few words."""
    if isinstance(value, Raised):
        text = f"{value.kind} ({value.text})" if value.text else value.kind
    elif isinstance(value, dict):
        text = ", ".join(f"{name} {_short(each, 120)}" for name, each in list(value.items())[:8])
        longest = 500
    elif isinstance(value, str):
        text = f"“{value}”"
    elif isinstance(value, tuple):
        text = "(" + ", ".join(_short(each, 60) for each in value[:6]) + ")"
    elif (numbers := as_numbers(value)) is None:
        text = type(value).__name__
    elif numbers.ndim == 0:
        text = f"{numbers.item():.4g}"
    elif numbers.numel() <= 16:
        text = " ".join(
            np.array2string(
                numbers.numpy(), precision=3, suppress_small=True, separator=", "
            ).split()
        )
    else:
        text = (
            f"a tensor {tuple(numbers.shape)} with mean {numbers.mean():.4g}, from "
            f"{numbers.min():.4g} to {numbers.max():.4g}"
        )
    return text if len(text) <= longest else f"{text[:longest]} …"
