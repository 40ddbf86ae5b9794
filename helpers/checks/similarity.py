"""Notebook 03: the matrix of cosine similarities, and which row is the partner of which."""

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.checks.exercise import Case, Exercise, Mistake
from helpers.losses import cosine_similarity


def _partners(function, N: int) -> list:
    return [function(k, N) for k in range(2 * N)]


def _zeros(embeddings: Tensor) -> Tensor:
    unit = embeddings / embeddings.norm(dim=1, keepdim=True)
    return unit @ unit.T - torch.eye(len(unit))


SIMILARITY = Exercise(
    "cosine_similarity", "03", cosine_similarity, named="similarity_matrix",
    cases=(Case((torch.tensor([[3.0, 4.0], [8.0, 6.0], [-4.0, 3.0]]),), "three rows of different lengths"),
           Case((torch.randn(5, 4, generator=torch.Generator().manual_seed(0)) * 10,), "five rows of four numbers")),
    mistakes=(
        Mistake("the rows are not normalised", "How long is each row, and how long should it be before the product?",
                lambda e: e @ e.T),
        Mistake("columns are normalised instead of rows", "Along which axis does one embedding lie?",
                lambda e: F.normalize(e, dim=0) @ F.normalize(e, dim=0).T),
        Mistake("all rows are divided by one length", "Does every row have length 1 after your division, or all of "
                "them together?", lambda e: (e / e.norm()) @ (e / e.norm()).T),
        Mistake("only one of the two rows is normalised", "A similarity compares two rows. Whose length is still in "
                "it?", lambda e: F.normalize(e, dim=1) @ e.T),
        Mistake("only the other row is normalised", "A length of shape (M,) divides the columns. Whose length is still "
                "in it?", lambda e: e @ F.normalize(e, dim=1).T),
        Mistake("a distance, not a similarity", "What should a row have with itself: 1 or 0?",
                lambda e: 1 - cosine_similarity(e)),
        Mistake("divided by the squared length", "What is the length of a row: the sum of squares, or its root?",
                lambda e: (e / e.square().sum(1, keepdim=True)) @ (e / e.square().sum(1, keepdim=True)).T),
        Mistake("coordinates are compared with coordinates", "The result should be (M, M). Which of the two factors "
                "is to be transposed?", lambda e: F.normalize(e, dim=1).T @ F.normalize(e, dim=1)),
        Mistake("each row is compared with itself only", "How many pairs do M rows have, and how many numbers came "
                "back?", lambda e: F.cosine_similarity(e, e, dim=1)),
        Mistake("the sign is lost", "Can a cosine be negative? What do opposite rows have?",
                lambda e: cosine_similarity(e).abs()),
        Mistake("the diagonal is taken away", "What is the similarity of a row with itself? (Masking comes later, in "
                "the loss.)", _zeros)),
    hints=("Two unit vectors: their cosine is their dot product.",
           "First bring every row to length 1: divide it by its norm. keepdim=True keeps the shape that broadcasting "
           "needs.",
           "All dot products of the rows of a matrix with each other are one matrix product, with the matrix "
           "transposed on one side."))

PARTNER = Exercise(
    "partner", "03", lambda k, N: (k + N) % (2 * N), named="partner_of", observe=_partners,
    cases=(Case((3,), "rows 0 to 5, N = 3"), Case((4,), "rows 0 to 7, N = 4"), Case((1,), "rows 0 and 1, N = 1")),
    mistakes=(
        Mistake("views that alternate", "That is right where rows 2k and 2k + 1 are a pair. How are the views stacked "
                "here: all first ones, and then?", lambda k, N: k ^ 1),
        Mistake("it runs past the last row", "What does your formula give for the last row, and how many rows are "
                "there?", lambda k, N: k + N),
        Mistake("it ends up in the first half", "After how many rows should the count begin again: N, or all of them?",
                lambda k, N: (k + N) % N),
        Mistake("mirrored", "Row 0 would belong to the last row. Are the second views in the same order as the first "
                "ones, or in the opposite one?", lambda k, N: 2 * N - 1 - k),
        Mistake("its own partner", "Which row holds the *other* view of the same image?", lambda k, N: k),
        Mistake("the neighbour below", "Is the next row another view of this image, or a view of the next image?",
                lambda k, N: (k + 1) % (2 * N)),
        Mistake("half of the rows are wrong: only the first views", "Rows 0 to N - 1 are right. Where is the partner "
                "of row N?", lambda k, N: k + N if k < N else k),
        Mistake("row N is counted to the first half", "Rows 0 to N − 1 are the first views. To which half does row N "
                "belong?", lambda k, N: k + N if k <= N else k - N),
        Mistake("^ is not a power, and not a sum", "In Python k ^ N compares the bits of both. Which operation goes N "
                "rows on?", lambda k, N: k ^ N),
        Mistake("it goes below 0", "Where does row 0 find its partner: N rows down, or N rows up?",
                lambda k, N: k - N)),
    hints=("Write the rows of N = 3 on paper: a1 b1 c1 a2 b2 c2. How far is it from a1 to a2? And from a2 back to a1?",
           "N down for the first half, N up for the second: or N down for all, going round at the end.",
           "The remainder of a division, %, goes round."))
