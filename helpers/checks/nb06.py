"""Notebook 06: the best pair of a table, and what an interval says."""

import torch
from torch import Tensor

from helpers.checks.exercise import Case, Exercise, Mistake, NotDone


def _best_pair(table: Tensor, names: list[str]) -> set:
    scores = ((table + table.T) / 2).clone().fill_diagonal_(-1)
    row, column = divmod(int(scores.argmax()), len(names))
    return {names[row], names[column]}


def _pair(function, table: Tensor, names: list[str]) -> str:
    answer = function(table, names)
    if answer is None or answer is ...:
        raise NotDone
    if isinstance(answer, set) and len(answer) == 1:
        answer = [*answer, *answer]
    if (
        isinstance(answer, str)
        or not hasattr(answer, "__iter__")
        or len(answer) != 2
        or any(str(name) not in names for name in answer)
    ):
        return "something else than two of the names"
    return " and ".join(sorted(str(name) for name in answer))


def _at(pick):
    def wrong(table: Tensor, names: list[str]) -> tuple:
        row, column = divmod(int(pick(table)), len(names))
        return names[row], names[column]

    return wrong


def _off_diagonal(table: Tensor, fill: float = -1.0) -> Tensor:
    return table.clone().fill_diagonal_(fill)


def _best_single_two(table: Tensor, names: list[str]) -> set:
    return {names[k] for k in table.diagonal().topk(2).indices.tolist()}


def _best_means(table: Tensor, names: list[str]) -> set:
    return {names[k] for k in (table + table.T).sum(1).topk(2).indices.tolist()}


def _composition(seed: int, n: int) -> tuple[Tensor, list[str]]:
    table = torch.rand(n, n, generator=torch.Generator().manual_seed(seed)) * 0.5
    return table, ["crop", "cutout", "color", "sobel", "noise", "blur", "rotate"][:n]


_FIRST = torch.tensor(
    [
        [0.33, 0.43, 0.56, 0.20],
        [0.42, 0.65, 0.30, 0.10],
        [0.38, 0.29, 0.25, 0.60],
        [0.21, 0.05, 0.20, 0.44],
    ]
)
BEST_PAIR = Exercise(
    "best_pair",
    "06",
    _best_pair,
    observe=_pair,
    cases=(
        Case((_FIRST, ["crop", "cutout", "color", "sobel"]), "a table of four transforms"),
        Case(_composition(5, 7), "a table of seven transforms"),
        Case(_composition(11, 6), "a table of six transforms"),
        Case(_composition(4, 6), "another table of six transforms"),
    ),
    mistakes=(
        Mistake(
            "the diagonal is taken for a pair",
            "What was trained in a cell on the diagonal: two transforms, or one?",
            _at(lambda t: ((t + t.T) / 2).argmax()),
        ),
        Mistake(
            "one order only",
            "Crop then colour, and colour then crop, are the same two transforms. What is their "
            "mean?",
            _at(lambda t: _off_diagonal(t).argmax()),
        ),
        Mistake(
            "only the cells below the diagonal are read",
            "Each pair was trained in both orders. Where is the other one?",
            _at(lambda t: (t + 1).tril(-1).argmax()),
        ),
        Mistake(
            "only the cells above the diagonal are read",
            "Each pair was trained in both orders. Where is the other one?",
            _at(lambda t: (t + 1).triu(1).argmax()),
        ),
        Mistake(
            "the worst pair",
            "argmax or argmin?",
            _at(lambda t: _off_diagonal((t + t.T) / 2, 9.0).argmin()),
        ),
        Mistake(
            "the two best single transforms",
            "Do two good ones make the best pair? Look at the cell that holds both.",
            _best_single_two,
        ),
        Mistake(
            "the two best rows",
            "A transform can be good with many partners and not the best with any one. Which cell "
            "is the largest?",
            _best_means,
        ),
        Mistake(
            "the smaller of the two orders",
            "The mean over both orders was asked for.",
            _at(lambda t: _off_diagonal(torch.minimum(t, t.T)).argmax()),
        ),
    ),
    hints=(
        "The mean over both orders: add the table to its transpose and halve it.",
        "The diagonal is no pair: give it a value below all others.",
        "argmax() counts through the whole table: its row is the quotient by the number of names, "
        "its column the remainder.",
    ),
)


def _verdict(
    differences: list[float],
    t: float,
    spread=None,
    by_root: bool = True,
    factor: bool = True,
    middle=torch.mean,
) -> str:
    values = torch.tensor(differences, dtype=torch.float64)
    width = (values.std() if spread is None else spread(values)) * (t if factor else 1)
    width = width / len(values) ** 0.5 if by_root else width
    if middle(values) - width > 0:
        return "same"
    return "opposite" if middle(values) + width < 0 else "cannot tell"


def _signs(differences: list[float], t: float) -> str:
    return "same" if min(differences) > 0 else "opposite" if max(differences) < 0 else "cannot tell"


def _turned(differences: list[float], t: float) -> str:
    return {"same": "opposite", "opposite": "same"}.get(_verdict(differences, t), "cannot tell")


def _never_opposite(differences: list[float], t: float) -> str:
    return "same" if _verdict(differences, t) == "same" else "cannot tell"


def _two_words(differences: list[float], t: float) -> str:
    return "same" if _verdict(differences, t) == "same" else "opposite"


VERDICT = Exercise(
    "verdict",
    "06",
    _verdict,
    cases=tuple(
        Case((list(values), t), f"differences {', '.join(f'{v:g}' for v in values)} with t = {t}")
        for values, t in (
            ((0.3, 0.6, 0.1), 4.3),
            ((-2.8, -3.4, -0.8, -1.5), 3.18),
            ((3.0, 3.4, 2.8), 4.3),
            ((-1.5, 0.0, -1.4, -2.1), 3.18),
            ((0.3, -0.2, 0.5), 4.3),
            ((-1.5, -1.9, -0.9, -1.7), 3.18),
            ((-2.2, -0.9, -2.0, -1.9, 2.5), 2.13),
            ((1.8, 2.5, 3.7, 1.9, 1.4), 2.78),
            ((0.0, 0.0, 0.0), 4.3),
            ((3.0, 3.1, 0.9, 1.4), 3.18),
            ((-1.3, 4.6, 3.7, 3.7, 2.0), 2.13),
        )
    ),
    mistakes=(
        Mistake(
            "the mean alone decides",
            "How sure are you of a mean of three numbers? Where does their spread come in?",
            lambda d, t: _verdict(d, t, lambda v: torch.tensor(0.0)),
        ),
        Mistake(
            "every seed must say the same",
            "Is an interval of the mean the same as the range of the values?",
            _signs,
        ),
        Mistake(
            "the spread of one value instead of the mean's",
            "The mean of n values varies less than a single one: by which factor?",
            lambda d, t: _verdict(d, t, by_root=False),
        ),
        Mistake(
            "the factor t is left out",
            "One standard error holds about two thirds. What makes it 95% for so few values?",
            lambda d, t: _verdict(d, t, factor=False),
        ),
        Mistake(
            "divided by n instead of n − 1",
            "The mean was taken from these very values. What does that cost the standard "
            "deviation?",
            lambda d, t: _verdict(d, t, lambda v: v.std(correction=0)),
        ),
        Mistake(
            "the variance instead of the standard deviation",
            "Which of the two has the unit of the values?",
            lambda d, t: _verdict(d, t, lambda v: v.var()),
        ),
        Mistake(
            "always the factor of three values",
            "How many differences are there this time, and which t was given?",
            lambda d, t: _verdict(d, 4.3),
        ),
        Mistake(
            "divided by n instead of its root",
            "Four times as many values halve the error of a mean. What do they do in yours?",
            lambda d, t: _verdict(d, t / len(d) ** 0.5),
        ),
        Mistake(
            "divided by the root of n − 1",
            "n − 1 belongs to the standard deviation. By what is that divided?",
            lambda d, t: _verdict(d, t * (len(d) / (len(d) - 1)) ** 0.5),
        ),
        Mistake(
            "the median instead of the mean",
            "The interval lies around the mean: what is yours around?",
            lambda d, t: _verdict(d, t, middle=lambda v: v.median()),
        ),
        Mistake(
            "same and opposite are swapped",
            "The interval lies above 0: who is right, the paper or its opposite?",
            _turned,
        ),
        Mistake(
            "nothing is ever opposite",
            "What do you say when the whole interval lies below 0?",
            _never_opposite,
        ),
        Mistake(
            "what holds 0 is called opposite",
            "No evidence for is not evidence against. What is the third word?",
            _two_words,
        ),
    ),
    hints=(
        "The half width of the interval is t times the standard error of the mean.",
        "The standard error is the standard deviation (with n − 1) over the root of n.",
        "Three cases: the lower end is above 0, the upper end is below 0, and the rest.",
    ),
)
