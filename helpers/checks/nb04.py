"""Notebook 04: how often the pair is found, what neighbours vote for, and the learning rate's way
up and down.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.checks.exercise import Case, Exercise, Mistake
from helpers.losses import cosine_similarity, positive_index


def _top1(z: Tensor, masked: float | None = -math.inf) -> Tensor:
    similarity = cosine_similarity(z.float())
    if masked is not None:
        similarity = similarity.fill_diagonal_(masked)
    return similarity.argmax(dim=1)


def _share(found: Tensor, partner: Tensor | None = None) -> float:
    partner = positive_index(len(found)) if partner is None else partner
    return (found == partner).float().mean().item()


def _unnormalized(z: Tensor) -> float:
    return _share((z @ z.T).fill_diagonal_(-math.inf).argmax(dim=1))


def _first_half(z: Tensor) -> float:
    n = len(z) // 2
    return (_top1(z)[:n] == positive_index(len(z))[:n]).float().mean().item()


def _cross(z: Tensor) -> float:
    first, second = F.normalize(z, dim=1).chunk(2)
    return ((first @ second.T).argmax(1) == torch.arange(len(first))).float().mean().item()


def _above_average(z: Tensor) -> float:
    similarity = cosine_similarity(z)
    mine = similarity.gather(1, positive_index(len(z))[:, None])[:, 0]
    return (mine > similarity.mean(1)).float().mean().item()


def _pairs(n: int, noise: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n, 6, generator=generator)
    views = images.repeat(2, 1) + noise * torch.randn(2 * n, 6, generator=generator)
    # lengths vary
    return views * torch.linspace(0.2, 3, 2 * n)[torch.randperm(2 * n, generator=generator), None]


TOP1 = Exercise(
    "contrastive_top1",
    "04",
    lambda z: _share(_top1(z)),
    cases=(
        Case((_pairs(11, 0.8, 0),), "eleven images whose views differ a lot"),
        Case((_pairs(20, 0.5, 1),), "twenty images whose views differ less"),
        Case(
            (torch.tensor([[1, 0], [-1, 0.5], [-0.1, 1], [-1, -0.5]]),),
            "two images, one of whose pairs has a negative cosine",
        ),
        Case(
            (torch.tensor([[1, 0], [0, 1], [-1, 0.1], [0.1, 1]]),),
            "two images, one of whose pairs is nearly opposite",
        ),
        Case((torch.tensor([[1.0, 0], [-1, 0.1]]),), "one image"),
        Case((torch.eye(3).repeat(2, 1),), "three images whose views are equal"),
        Case((torch.tensor([[1.0, 0], [-1, 0]]),), "one image whose views are opposite"),
    ),
    mistakes=(
        Mistake(
            "a view may choose itself",
            "To what is every row most similar, if nothing forbids it?",
            lambda z: _share(_top1(z, None)),
        ),
        Mistake(
            "the diagonal is masked with 0",
            "Is 0 below every similarity? Cosines go down to −1.",
            lambda z: _share(_top1(z, 0.0)),
        ),
        Mistake(
            "the wrong partner: views that alternate",
            "Rows k and k + N are a pair. Which row does yours take for the partner of row 0?",
            lambda z: _share(_top1(z), torch.arange(len(z)) ^ 1),
        ),
        Mistake(
            "the rows are not normalised",
            "Does a long row win in yours because it is similar, or because it is long?",
            _unnormalized,
        ),
        Mistake(
            "percent instead of a share",
            "Can a share be above 1?",
            lambda z: 100 * _share(_top1(z)),
        ),
        Mistake(
            "the least similar one is chosen",
            "argmin or argmax: what is the most similar view?",
            lambda z: _share(cosine_similarity(z).argmin(dim=1)),
        ),
        Mistake(
            "first views only",
            "The second views look for their partners too: over how many rows is the mean taken?",
            _first_half,
        ),
        Mistake(
            "first views choose among second views only",
            "Among how many others does a view choose: N, or 2N − 1?",
            _cross,
        ),
        Mistake(
            "better than average is taken for found",
            "The pair is found if *no* other view is more similar. With what do you compare?",
            _above_average,
        ),
        Mistake(
            "a count instead of a share",
            "How many rows are there to divide by?",
            lambda z: float((_top1(z) == positive_index(len(z))).sum()),
        ),
    ),
    hints=(
        "Three steps: all similarities, no view may choose itself, and the largest one in each "
        "row.",
        "Before the argmax, the diagonal must be smaller than anything: −∞.",
        "The partners are torch.arange(2N).roll(N). The mean of (found == partner) as floats is "
        "the share.",
    ),
)


def _votes(bank: Tensor, labels: Tensor, queries: Tensor, k: int, largest: bool = True) -> Tensor:
    nearest = (
        (F.normalize(queries, dim=1) @ F.normalize(bank, dim=1).T)
        .topk(k, dim=1, largest=largest)
        .indices
    )
    return labels[nearest]


def _knn(bank: Tensor, labels: Tensor, queries: Tensor, k: int, largest: bool = True) -> Tensor:
    return _votes(bank, labels, queries, k, largest).mode(dim=1).values


def _bank(seed: int, k: int = 5) -> tuple:
    """Return a bank, labels, queries and k where each known mistake changes some answers, and no
    vote is a tie.
    """
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(5, 6, generator=generator)
    kind = torch.arange(45) % 5
    labels = torch.tensor([0, 3, 11, 20, 40])[kind]  # of many classes only these are in the bank
    bank = (
        (centers[kind] + torch.randn(45, 6, generator=generator))
        * torch.rand(45, 1, generator=generator)
        * 4
    )
    asked = (centers[torch.arange(60) % 5] + torch.randn(60, 6, generator=generator)) * 2
    nearest = (F.normalize(asked, dim=1) @ F.normalize(bank, dim=1).T).topk(k, dim=1).indices
    votes = F.one_hot(labels[nearest], 41).sum(1).sort(dim=1).values
    clear = votes[:, -1] > votes[:, -2]
    return bank, labels, asked[clear], k


def _one_query() -> tuple:
    bank, labels, queries, k = _bank(0)
    return bank, labels, queries[:1], k


def _weighted(bank: Tensor, labels: Tensor, queries: Tensor, k: int) -> Tensor:
    cosine, nearest = (F.normalize(queries, dim=1) @ F.normalize(bank, dim=1).T).topk(k, dim=1)
    votes = torch.zeros(len(queries), 41).scatter_add_(1, labels[nearest], (cosine / 0.1).exp())
    return votes.argmax(dim=1)


def _by_cosine(bank: Tensor, labels: Tensor, queries: Tensor, k: int) -> Tensor:
    cosine, nearest = (F.normalize(queries, dim=1) @ F.normalize(bank, dim=1).T).topk(k, dim=1)
    return torch.zeros(len(queries), 41).scatter_add_(1, labels[nearest], cosine).argmax(dim=1)


def _euclidean(bank: Tensor, labels: Tensor, queries: Tensor, k: int) -> Tensor:
    nearest = (queries[:, None] - bank[None]).norm(dim=2).topk(k, dim=1, largest=False).indices
    return labels[nearest].mode(dim=1).values


def _dot(bank: Tensor, labels: Tensor, queries: Tensor, k: int) -> Tensor:
    return labels[(queries @ bank.T).topk(k, dim=1).indices].mode(dim=1).values


KNN = Exercise(
    "knn_predict",
    "04",
    _knn,
    cases=(
        Case(_bank(0), "45 labelled vectors of five classes, k = 5"),
        Case(_bank(3, 7), "another 45 labelled vectors, k = 7"),
        Case(_bank(2, 3), "yet others, k = 3"),
        Case(_one_query(), "a single query, k = 5"),
    ),
    mistakes=(
        Mistake(
            "the farthest ones vote",
            "Is the most similar vector the one with the largest or the smallest cosine?",
            lambda b, y, q, k: _knn(b, y, q, k, largest=False),
        ),
        Mistake(
            "dot products of rows that are not normalised",
            "Which vectors win too often in yours: the similar ones or the long ones?",
            _dot,
        ),
        Mistake(
            "distances instead of cosines",
            "Two vectors of one direction and different lengths: are they near each other in "
            "yours?",
            _euclidean,
        ),
        Mistake(
            "only the nearest one votes",
            "How many neighbours vote when k is 5?",
            lambda b, y, q, k: _knn(b, y, q, 1),
        ),
        Mistake(
            "rows are returned, not their labels",
            "Is 37 a class, or the place of a neighbour?",
            lambda b, y, q, k: _knn(b, torch.arange(len(b)), q, 1),
        ),
        Mistake(
            "rows vote, not their labels",
            "All k neighbours are different rows. What do some of them have in common?",
            lambda b, y, q, k: _knn(b, torch.arange(len(b)), q, k),
        ),
        Mistake(
            "labels are averaged",
            "Between class 0 and class 2: is class 1 a compromise? What counts is how often each "
            "is named.",
            lambda b, y, q, k: _votes(b, y, q, k).float().mean(dim=1).round().long(),
        ),
        Mistake(
            "the median vote",
            "The middle of sorted labels is not the most frequent one. Which of torch's functions "
            "counts?",
            lambda b, y, q, k: _votes(b, y, q, k).median(dim=1).values,
        ),
        Mistake(
            "nearer ones count for more",
            "Here each neighbour has one voice, however near it is.",
            lambda b, y, q, k: _weighted(b, y, q, k),
        ),
        Mistake(
            "similar ones count for more",
            "Here each neighbour has one voice, however similar it is.",
            _by_cosine,
        ),
        Mistake(
            "always five neighbours",
            "How many neighbours vote when k is 3?",
            lambda b, y, q, k: _knn(b, y, q, 5),
        ),
        Mistake(
            "one neighbour too few",
            "How many are k neighbours? (A query is not in the bank: there is none to leave out.)",
            lambda b, y, q, k: _votes(b, y, q, k)[:, 1:].mode(dim=1).values,
        ),
    ),
    hints=(
        "Similarities of all queries with the whole bank are one matrix product of normalised "
        "rows, (M, N).",
        "topk(k, dim=1).indices are the places of the neighbours; labels[places] are their "
        "labels, (M, k).",
        "mode(dim=1).values is the most frequent one in each row.",
    ),
)


def _factor(step: int, warmup: int, total: int) -> float:
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def _way(function, warmup: int, total: int) -> list:
    return [function(step, warmup, total) for step in range(total + 1)]


def _after(cosine):
    return lambda s, w, t: (s + 1) / (w + 1) if s < w else cosine(s, w, t)


SCHEDULE = Exercise(
    "lr_factor",
    "04",
    _factor,
    observe=_way,
    cases=(
        Case((4, 12), "warmup 4, total 12, every step"),
        Case((0, 6), "no warm-up, total 6, every step"),
        Case((1, 20), "warmup 1, total 20, every step"),
        Case((8, 10), "warmup 8, total 10, every step"),
    ),
    mistakes=(
        Mistake(
            "the warm-up starts at 0",
            "A step at rate 0 teaches nothing: what should step 0 have?",
            lambda s, w, t: s / w if s < w else _factor(s, w, t),
        ),
        Mistake(
            "the warm-up is over one step early",
            "At the last step of the warm-up yours is at the peak already. By what is (step + 1) "
            "divided?",
            lambda s, w, t: (s + 1) / w if s < w else _factor(s, w, t),
        ),
        Mistake(
            "the cosine begins at step 0, not at the end of the warm-up",
            "What is your factor right after the warm-up? It should be 1.",
            _after(lambda s, w, t: 0.5 * (1 + math.cos(math.pi * s / t))),
        ),
        Mistake(
            "the cosine is not done at the end",
            "The cosine lasts from warmup to total. How many steps are that?",
            _after(lambda s, w, t: 0.5 * (1 + math.cos(math.pi * (s - w) / t))),
        ),
        Mistake(
            "no warm-up",
            "What happens before step `warmup`?",
            lambda s, w, t: 0.5 * (1 + math.cos(math.pi * s / t)),
        ),
        Mistake(
            "a quarter of a wave",
            "How far does cos(π t / 2) fall, and with which slope does it arrive at the end?",
            _after(lambda s, w, t: math.cos(math.pi / 2 * (s - w) / (t - w))),
        ),
        Mistake(
            "the cosine goes from 1 to −1",
            "Can a learning rate be below 0? Move and scale the wave.",
            _after(lambda s, w, t: math.cos(math.pi * (s - w) / (t - w))),
        ),
        Mistake(
            "a straight line down",
            "Which function should it follow after the warm-up?",
            _after(lambda s, w, t: 1 - (s - w) / (t - w)),
        ),
        Mistake(
            "it climbs after the warm-up",
            "cos begins at 1. What does 1 − cos begin at?",
            _after(lambda s, w, t: 0.5 * (1 - math.cos(math.pi * (s - w) / (t - w)))),
        ),
        Mistake(
            "divided by //",
            "What is 3 // 8, and what is 3 / 8?",
            lambda s, w, t: (
                (s + 1) // (w + 1)
                if s < w
                else 0.5 * (1 + math.cos(math.pi * ((s - w) // (t - w))))
            ),
        ),
        Mistake(
            "the half is left out",
            "cos runs from 1 to −1. What does 1 + cos begin at?",
            _after(lambda s, w, t: 1 + math.cos(math.pi * (s - w) / (t - w))),
        ),
        Mistake(
            "brackets are missing",
            "Python divides before it subtracts: what is s − w / T − w?",
            _after(lambda s, w, t: 0.5 * (1 + math.cos(math.pi * (s - w / t - w)))),
        ),
        Mistake(
            "degrees",
            "math.cos takes radians: half a circle is π, not 180.",
            _after(lambda s, w, t: 0.5 * (1 + math.cos(180 * (s - w) / (t - w)))),
        ),
    ),
    hints=(
        "Two cases: step < warmup, and the rest.",
        "After the warm-up, t = (step − warmup) / (total − warmup) runs from 0 to 1.",
        "½ (1 + cos π t) is 1 at t = 0 and 0 at t = 1.",
    ),
)
