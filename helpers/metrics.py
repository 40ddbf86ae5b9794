"""What tells whether a representation is any good: kNN, contrastive rank, alignment, uniformity,
spread, intervals.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor


def knn_predict(
    train_features: Tensor,
    train_labels: Tensor,
    features: Tensor,
    neighbors: int = 20,
    temperature: float = 0.1,
) -> Tensor:
    """Return the labels (M,) that the nearest training features by cosine similarity vote for.

    Args:
        train_features: Shape (N, D).
        train_labels: int64, shape (N,).
        features: Shape (M, D).
        neighbors: How many vote; all N where there are fewer.
        temperature: A vote weighs exp(similarity / temperature).

    Source: Wu et al. 2018, section 3.4.
    """
    bank = F.normalize(train_features.float(), dim=1)
    classes = int(train_labels.max()) + 1
    found = []
    for block in F.normalize(features.float(), dim=1).split(1024):
        similarity, nearest = (block @ bank.T).topk(min(neighbors, len(bank)), dim=1)
        votes = torch.zeros(len(block), classes, device=block.device)
        votes.scatter_add_(1, train_labels[nearest], (similarity / temperature).exp())
        found.append(votes.argmax(dim=1))
    return torch.cat(found)


def contrastive_rank(projections: Tensor) -> tuple[Tensor, Tensor]:
    """Return (top-1 accuracy, mean rank) of the positive among the 2N - 1 other views, as scalars.

    Rank 1 means that the positive is the most similar one; chance is top-1 of 1 / (2N - 1) and rank
    N.

    Args:
        projections: Shape (2N, D); rows k and k + N are a pair.
    """
    unit = F.normalize(projections.float(), dim=1)
    similarity = (unit @ unit.T).fill_diagonal_(-math.inf)
    positives = (torch.arange(len(unit), device=unit.device) + len(unit) // 2) % len(unit)
    mine = similarity.gather(1, positives[:, None])
    # Ties count half: if all projections are equal, the positive is nowhere near the first.
    rank = 1 + (similarity > mine).sum(1) + ((similarity == mine).sum(1) - 1) / 2
    return (rank == 1).float().mean(), rank.mean()


def alignment(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean squared distance of normalised pairs, a scalar from 0 (equal) to 4; both (N,
    D).

    Source: Wang and Isola 2020.
    """
    return (
        (F.normalize(first.float(), dim=1) - F.normalize(second.float(), dim=1))
        .square()
        .sum(1)
        .mean()
    )


def uniformity(embeddings: Tensor) -> Tensor:
    """Return the log of the mean exp(-2 distance^2) over pairs of normalised rows (N, D).

    Lower is more even; 0 is collapse.

    Source: Wang and Isola 2020, with t = 2.
    """
    return torch.pdist(F.normalize(embeddings.float(), dim=1)).square().mul(-2).exp().mean().log()


def spread(embeddings: Tensor) -> Tensor:
    """Return how far normalised rows (M, D) are spread over the sphere: 0 if all are one point, 1
    if their mean is 0.

    It is the mean squared distance from their mean: the first thing to look at for a collapse.
    """
    unit = F.normalize(embeddings.float(), dim=1)
    return 1 - unit.mean(dim=0).square().sum()


def mean_interval(values: list[float]) -> tuple[float, float]:
    """Return (mean, half width of its 95% interval) over seeds, by Student's t; the width of one
    run is nan.
    """
    array = np.asarray(values, float)
    if len(array) < 2:
        return float(array.mean()), math.nan
    width = stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array))
    return float(array.mean()), float(width)


def proportion_interval(right: int, count: int) -> tuple[float, float]:
    """Return the 95% Wilson interval (low, high) of an accuracy of `right` out of `count` test
    images.
    """
    z = stats.norm.ppf(0.975)
    center = (right + z * z / 2) / (count + z * z)
    width = z / (count + z * z) * math.sqrt(right * (count - right) / count + z * z / 4)
    return center - width, center + width
