# %% [markdown]
# # 03 · Similarity and NT-Xent
#
# **How does a similarity matrix become a loss?**
#
# You will turn an arrow and feel what cosine similarity measures, watch a matrix of similarities order itself while a
# network learns, compute the loss of SimCLR by hand for two images, and then write it in five lines.
#
# *3 minutes on two CPU cores. You should know what a vector and a softmax are. No internet connection is needed.*

# %%
import torch

from helpers.runtime import seed_everything

seed_everything(0)

# %% [markdown]
# ## 1. How similar are two vectors?
#
# The **dot product** multiplies place by place and adds up. It grows when two vectors point the same way, and also when
# they are merely long. Dividing by both lengths takes the length out. What is left is the **cosine similarity**: the cosine
# of the angle between them.
#
# $$ \operatorname{sim}(a, b) = \frac{a \cdot b}{\lVert a \rVert \, \lVert b \rVert} $$

# %%
a = torch.tensor([3.0, 4.0])
b = torch.tensor([8.0, 6.0])
print("dot product:", (a @ b).item())
print("lengths:", a.norm().item(), "and", b.norm().item())
print("cosine similarity:", round((a @ b / (a.norm() * b.norm())).item(), 4))

# %% [markdown]
# **Predict**, then turn the arrow: at which angle is the cosine 0? Where is it lowest? What happens to it when `b` gets twice
# as long?

# %%
from helpers.widgets.angle import AngleExplorer

AngleExplorer()

# %% [markdown]
# It goes from −1 (opposite) through 0 (right angles) to 1 (same direction), whatever the lengths.
#
# In the plane, half of all pairs of random arrows are within 45° of pointing the same or the opposite way. With many dimensions that is different, and SimCLR's
# projections have 128:

# %%
import torch.nn.functional as F

for dimensions in (2, 8, 128):
    one, two = F.normalize(torch.randn(2, 10_000, dimensions), dim=2)
    similarity = (one * two).sum(1)
    middle = similarity.abs().median()
    print(
        f"{dimensions:>4} dimensions: half of all random pairs have a similarity from {-middle:.2f} to {middle:.2f}, "
        f"the closest of 10,000 has {similarity.max():.2f}"
    )

# %% [markdown]
# In 128 dimensions there is room for very many vectors that are nearly at right angles to each other. So a loss can push all
# different images apart at once.

# %% [markdown]
# ### Exercise 1 · All similarities at once
#
# A batch gives many vectors, one per row. Write the matrix of all their cosine similarities.


# %%
def similarity_matrix(embeddings: torch.Tensor) -> torch.Tensor:
    """Return the cosine similarity of every row of embeddings, (M, D), with every row: (M, M)."""
    ### BEGIN SOLUTION
    # Between rows of length 1, the dot product is the cosine.
    unit = F.normalize(embeddings, dim=1)
    return unit @ unit.T
    ### END SOLUTION


# %%
from helpers.checks import check, hint

check("cosine_similarity", similarity_matrix)

# %% [markdown]
# If it is not right, the answer says which mistake it looks like. Stuck? `hint("cosine_similarity")` in a cell of your own helps a
# step further.

# %% [markdown]
# ## 2. A batch of views
#
# Take $N$ images and draw two views of each: $2N$ views. All first views come first, then all second views in the same order, so
# rows $k$ and $k + N$ are a **positive pair**. To every view, the other $2N - 2$ are **negatives**. The encoder $f$ and the
# projection head $g$ turn each view into a projection $z$, and the matrix of their similarities holds everything that the loss
# will ever see.
#
# ### Exercise 2 · Who is the partner of row k?
#
# Write the row of the partner of row `k`, for any `k` from 0 to $2N - 1$. (Python counts from 0; the explorer below calls the first
# row 1.)


# %%
def partner_of(k: int, N: int) -> int:
    """Return the row of the other view of the image in row k, of 2N rows."""
    ### BEGIN SOLUTION
    # N rows on; who leaves at the end comes in at the beginning.
    return (k + N) % (2 * N)
    ### END SOLUTION


# %%
check("partner", partner_of)

# %% [markdown]
# ## 3. The matrix explorer
#
# Every square is the similarity of two views, dark for alike. A green frame marks the partner, an orange diamond the **hardest
# negative** of each row: the most similar view of another image. The diagonal is crossed out, since a view is never compared with
# itself. The **anchor** is the view whose row we read. The encoder is one that learned on these kinds of images, without labels, and
# was saved after several of its epochs.
#
# **Predict:** after training, which squares of the matrix should be dark, and which should not?

# %%
from helpers.widgets.matrix import MatrixExplorer

MatrixExplorer()

# %% [markdown]
# The softmax turns a row of $s / \tau$ into probabilities $p$, and the row's loss is $\ell = -\log p$ of its partner (part 4 has the
# formula). *Chance* is its value where all similarities are equal, $\log(2N - 1)$.
#
# Try these:
#
# 1. Move **after epoch** down to 0 and up again. To the untrained network all views look alike: everything is dark.
#    Still some partners are the nearest, by a hair: the sentence below counts them, beside what guessing would find. Training has to
#    pull the matrix apart, until little more than the two green lines is dark. (The
#    networks are shown as they are used after training, with BatchNorm's running averages. In a training step BatchNorm spreads
#    the batch from the beginning.)
# 2. Set **whose similarity** to *raw pixels*. Why is nearly everything dark, and what stands out?
# 3. Choose an **anchor** whose partner is not nearest. What do its nearest negatives share with it?
# 4. Move the **temperature** τ to 0.05 and to 2. The similarities stay, and yet the two lower panels change. Which negatives push
#    at a low temperature, and which at a high one?
# 5. Raise **N** to 16: 30 negatives instead of 10. Does finding the partner get easier or harder?
#
# The lowest panel is the gradient of this row's loss $\ell$ by its similarities: how much $\ell$ wants each of them to grow (up: a pull)
# or to shrink (down: a push). The longest bar fills the panel. With $p_k$ the probability of view $k$, and $j$ the partner, the partner
# is pulled by $(1 - p_j) / \tau$, and each negative $k$ is pushed by $p_k / \tau$: together as much. At a low temperature only the
# hardest negatives get a noticeable probability.

# %% [markdown]
# ## 4. By hand
#
# With $s_{ik}$ the similarity of rows $i$ and $k$, the loss of row $i$ with partner $j$ is
#
# $$ \ell_i = -\log \frac{e^{s_{ij}/\tau}}{\sum_{k \neq i} e^{s_{ik}/\tau}}, $$
#
# and NT-Xent is the mean over all $2N$ rows. Two images, A and B, make four views and six similarities: small enough to see every
# number. Follow them from 1 to 6, then change one similarity and see which numbers move.
#
# **Predict:** choose *A1 and B2*, who are no pair, and raise their similarity. In how many of the four rows does $\ell$ change?

# %%
from helpers.widgets.by_hand import ByHand

ByHand()

# %% [markdown]
# In two: the rows of A1 and of B2. A similarity belongs to two rows, and each row asks its own question.
#
# (If a similarity stops following the slider: not every six numbers can be the similarities of four vectors. If A1 is close to
# both B1 and A2, those two cannot be far apart.)
#
# ### Exercise 3 · The formula, with loops
#
# Write the formula as it stands: for each row $i$, the similarity with its partner and those with all others, and at the end the
# mean over all rows. Slow is fine; what matters is that you can see that it is the formula. Return a tensor through which gradients
# flow: the network is to learn from it (so no `.item()`).


# %%
def nt_xent_loops(z: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return NT-Xent of projections z, (2N, D), term by term; rows k and k + N are a pair. float16 is computed in float32."""
    ### BEGIN SOLUTION
    # One row at a time; torch.stack keeps the gradient of every term.
    z = F.normalize(z.float(), dim=1)
    rows, losses = len(z), []
    for i in range(rows):
        positive = z[i] @ z[(i + rows // 2) % rows] / temperature
        others = torch.stack([z[i] @ z[k] / temperature for k in range(rows) if k != i])
        losses.append(-positive + others.logsumexp(dim=0))
    return torch.stack(losses).mean()
    ### END SOLUTION


# %%
check("nt_xent_loops", nt_xent_loops)

# %% [markdown]
# ## 5. As matrices
#
# A batch of 256 images has 512 rows and more than a quarter of a million similarities: too many for a loop in every training step.
# Here is the loss again, one step at a time, for all rows at once, on the projections of four images.

# %%
from helpers.losses import cosine_similarity

projections = torch.randn(8, 128)  # (2N, D)
tau = 0.5
logits = cosine_similarity(projections) / tau  # 1 similarity, divided by the temperature: (2N, 2N)
print("largest entries are on the diagonal:", logits.diagonal()[:3])

# %%
logits.fill_diagonal_(float("-inf"))  # 2 mask: exp(-inf) = 0, so a view is no candidate for itself
print("probability of choosing oneself:", logits.softmax(dim=1).diagonal()[:3])

# %%
partner = torch.arange(8).roll(4)  # 3 positives: 4 5 6 7 0 1 2 3
positive = logits[torch.arange(8), partner]
print("similarity to the partner, over tau:", positive[:3])

# %%
per_view = (
    logits.logsumexp(dim=1) - positive
)  # 4 -log(exp(positive) / sum of exp) = logsumexp - positive
loss = per_view.mean()  # 5 mean over the 2N views
print(f"loss {loss:.4f}")

# %% [markdown]
# `logsumexp` is there for a reason: at $\tau = 0.01$, $e^{s/\tau}$ is up to $e^{100}$, more than 32-bit floats hold.
#
# ### Exercise 4 · NT-Xent in five lines
#
# Put the steps into a function, for any number of images. The check knows the classic mistakes of public code;
# some of them never show in a falling loss.


# %%
def my_nt_xent(z: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return NT-Xent of projections z, (2N, D), without a loop; rows k and k + N are a pair. float16 is computed in float32."""
    ### BEGIN SOLUTION
    # Cross-entropy is logsumexp - positive, and takes the mean: the class of each row is its partner.
    logits = cosine_similarity(z.float()) / temperature
    logits.fill_diagonal_(float("-inf"))
    return F.cross_entropy(logits, torch.arange(len(z)).roll(len(z) // 2))
    ### END SOLUTION


# %%
check("nt_xent", my_nt_xent)

# %% [markdown]
# Is it also the loss that trains everything in this course, `nt_xent` in `helpers/losses.py`?

# %%
from helpers.losses import nt_xent

mine = my_nt_xent(projections, tau)
print(
    f"step by step {loss:.6f}   helpers {nt_xent(projections, tau):.6f}   yours {'not yet' if mine is None else f'{mine:.6f}'}"
)

# %% [markdown]
# ## 6. What the temperature does
#
# **Predict:** of all the pushing on a view, how much comes from its single hardest negative, at $\tau = 1$ and at $\tau = 0.05$?

# %%
from helpers.augmentations import Augment
from helpers.data import load
from helpers.simclr import load_pretrained

simclr = load_pretrained("shapes-tiny")
images = load("shapes", "val").images[:64]
with torch.inference_mode():
    z = simclr.head(
        simclr.encoder(Augment(simclr.settings.policy())(images.repeat(2, 1, 1, 1)))
    )  # (2N, D), here both 128
for tau in (1.0, 0.5, 0.1, 0.05):
    p = (cosine_similarity(z) / tau).fill_diagonal_(float("-inf")).softmax(dim=1)
    p[torch.arange(128), torch.arange(128).roll(64)] = 0  # negatives only
    share = (p.max(dim=1).values / p.sum(dim=1)).mean()
    print(f"tau {tau:<4}  hardest of {2 * 64 - 2} negatives: {share:.0%} of the pushing")

# %% [markdown]
# With equal pushes the hardest would do one part in 126, under 1%. A low temperature turns the loss to the negatives that are
# still confused with the anchor. Too low, and a few of them, often images that really are alike, do all the pushing. In the
# paper (Table 5, ImageNet, linear probe) τ 0.1 is best of 0.05, 0.1, 0.5 and 1: 59.7, **64.4**, 60.7 and 58.0%.

# %% [markdown]
# ## 7. Would you notice a mistake?
#
# Suppose that you forget step 2, the mask. The loss still falls, nothing crashes. **Predict:** by how much is it off, at
# $\tau = 0.5$ and at $\tau = 0.07$?

# %%
projections = torch.randn(512, 128)
for tau in (0.5, 0.07):
    unmasked = F.cross_entropy(cosine_similarity(projections) / tau, torch.arange(512).roll(256))
    print(f"tau {tau:<4}  right {nt_xent(projections, tau):.3f}   without the mask {unmasked:.3f}")

# %% [markdown]
# At 0.5 the error hides in the second decimal. At 0.07 the view's similarity to itself, the largest there can be, drowns all the
# rest. A loss deserves a test against a slow and obvious version, as your loops of exercise 3 are for exercise 4.

# %% [markdown]
# ## Five questions

# %%
from helpers.widgets.quiz import Quiz

Quiz("03")

# %% [markdown]
# ## What you have learned
#
# * Cosine similarity compares directions, from −1 to 1. In many dimensions, nearly all pairs of random directions are nearly
#   at right angles.
# * $2N$ views give a $2N \times 2N$ matrix: the diagonal is masked, one entry per row is the positive, and the rest are
#   negatives.
# * NT-Xent is a softmax cross-entropy per row: *which of the others is your partner?*
# * The gradient raises the partner's similarity by as much as it lowers all others together. The temperature decides which
#   others those are.
#
# Next, notebook 04 puts this loss to work.
