"""Cosine similarity and NT-Xent, the loss of SimCLR: plain, in row blocks, and across several
processes.

Projections come as 2N rows: rows k and k + N are the two views of image k.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def cosine_similarity(embeddings: Tensor) -> Tensor:
    """Return the cosine similarity of every row with every row, shape (M, M), in [-1, 1].

    Args:
        embeddings: Shape (M, D). A row of zeros has similarity 0 with everything.
    """
    unit = F.normalize(embeddings, dim=1)  # (M, D), each row of length 1
    return unit @ unit.T


def nt_xent(projections: Tensor, temperature: float = 0.5) -> Tensor:
    """Return the NT-Xent loss of 2N projections.

    Rows k and k + N are the two views of one image.

    Args:
        projections: Shape (2N, D); L2-normalised here.
        temperature: Softmax temperature, > 0, no unit.

    Returns:
        Scalar in nats, the mean over the 2N anchors.

    Raises:
        ValueError: If the row count is odd or below 4, or temperature <= 0.

    Source: Chen et al. 2020, Eq. 1 and Algorithm 1. Google's objective.py sums both directions:
    twice this value.
    """
    _check(projections, temperature)
    # At least float32, whatever the network computes in: a cosine rounded to bfloat16 moves the
    # logits by up to 1/256 of 1/tau.
    wide = torch.promote_types(projections.dtype, torch.float32)
    logits = cosine_similarity(projections.to(wide)) / temperature  # (2N, 2N)
    logits.fill_diagonal_(float("-inf"))  # a view is never its own negative
    return F.cross_entropy(logits, positive_index(len(projections), projections.device))


def positive_index(rows: int, device: torch.device | str = "cpu") -> Tensor:
    """Return the row of the positive of each of 2N rows: k + N for k < N, and k - N after that."""
    return torch.arange(rows, device=device).roll(rows // 2)


def nt_xent_in_blocks(
    projections: Tensor, temperature: float = 0.5, block_rows: int = 1024
) -> Tensor:
    """Return the value and gradient of `nt_xent` with memory that grows linearly in the rows.

    A block of anchors is compared with all rows at a time; the backward pass computes each block
    again.

    Args:
        projections: Shape (2N, D).
        temperature: Softmax temperature, > 0.
        block_rows: Anchors a block; the largest matrix in memory has block_rows x 2N entries.
    """
    _check(projections, temperature)
    unit = F.normalize(projections.float(), dim=1)
    positives = positive_index(len(unit), unit.device)
    anchors = torch.arange(len(unit), device=unit.device)
    total = unit.new_zeros(())
    for rows in anchors.split(block_rows):
        total = total + checkpoint(
            _sum_over_anchors, unit, rows, positives, temperature, use_reentrant=False
        )
    return total / len(unit)


def nt_xent_across_ranks(
    projections: Tensor, temperature: float = 0.5, block_rows: int = 1024
) -> Tensor:
    """Return this process's share of NT-Xent, with the views of all processes as negatives.

    Each process passes its own 2n projections (all the same n). The shares' mean over the processes
    is the loss of the whole batch, and since DistributedDataParallel averages gradients in the same
    way, the parameters get the gradient of the whole batch: gathering keeps the gradient of what
    every process does with these projections.
    """
    _check(projections, temperature, fewest=2)
    unit = F.normalize(projections.float(), dim=1)
    n, rank, ranks = len(unit) // 2, dist.get_rank(), dist.get_world_size()
    everyone = _GatherWithGradient.apply(unit)  # (ranks, 2n, D)
    # All first views, then all second views, so that rows k and k + N are a pair again.
    everyone = everyone.view(ranks, 2, n, -1).transpose(0, 1).reshape(ranks * 2 * n, -1)
    positives = positive_index(len(everyone), unit.device)
    first = torch.arange(rank * n, (rank + 1) * n, device=unit.device)
    own = torch.cat([first, first + ranks * n])
    total = unit.new_zeros(())
    for rows in own.split(block_rows):
        total = total + checkpoint(
            _sum_over_anchors, everyone, rows, positives, temperature, use_reentrant=False
        )
    return total / len(own)


def _sum_over_anchors(unit: Tensor, rows: Tensor, positives: Tensor, temperature: float) -> Tensor:
    logits = unit[rows] @ unit.T / temperature  # (block, 2N)
    logits = logits.scatter(1, rows[:, None], float("-inf"))
    return F.cross_entropy(logits, positives[rows], reduction="sum")


def _check(projections: Tensor, temperature: float, fewest: int = 4) -> None:
    rows = len(projections)
    if projections.ndim != 2 or rows % 2 or rows < fewest:
        raise ValueError(
            f"NT-Xent needs 2N projections in rows, N at least {fewest // 2} (two views of each "
            f"image), but the shape is {tuple(projections.shape)}; stack all first views, then all "
            "second views"
        )
    if not temperature > 0:
        raise ValueError(
            f"the temperature must be above 0, not {temperature}; the best one in the paper's "
            "Table 5 is 0.1"
        )


class _GatherWithGradient(torch.autograd.Function):
    # torch.distributed.all_gather returns tensors without gradient: with it each process would
    # learn from its own half of the pairs only (the fault behind several public SimCLR
    # reimplementations).
    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        gathered = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered, rows.contiguous())
        return torch.stack(gathered)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)  # sum of what every process wants of every row
        return gradient[dist.get_rank()]
