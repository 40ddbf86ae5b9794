# %% [markdown]
# # 04 · Train SimCLR
#
# **How is it trained, on a laptop and on a GPU, and how do I know that it learns?**
#
# You will put the training loop together from its four parts in ten lines of PyTorch, run it properly with Lightning while
# its curves grow before you, and learn to read those curves: in the clinic at the end, three runs have gone wrong, and you
# find out how.
#
# *6 minutes on two CPU cores. You should know what a loss and an optimiser are. No internet connection is needed, except
# to download real photos for a GPU, which is optional.*

# %%
import torch

from helpers.runtime import seed_everything

seed_everything(0)

# %% [markdown]
# ## The plan
#
# ```
# image ──► two views ──► h = f(view) ──► z = g(h) ──► NT-Xent: find the pair
#           Augment       encoder         head
# ```
#
# No label appears anywhere. All that the network is told is which two views came from the same image.

# %% [markdown]
# ## 1. Two views of each image
#
# A **policy** says how a view is drawn: which part of the image, mirrored or not, with what colours. We draw twice.

# %%
from helpers.augmentations import Augment
from helpers.data import load
from helpers.plotting import VIEW_A, VIEW_B, show_images
from helpers.simclr import settings_for
from helpers.widgets.picture import picture

train, val = load("shapes", "train"), load("shapes", "val")
settings = settings_for("laptop", "shapes")
# fast: settings = settings_for("laptop", "shapes", epochs=0.2)
augment = Augment(settings.policy())
batch = train.images[:8]
views = torch.cat(
    [augment(batch), augment(batch)]
)  # (2N, 3, 32, 32): all first views, then all second views
pictures = torch.cat([batch.float() / 255, views])
picture(
    show_images(
        pictures,
        [text for row in ("image", "view 1", "view 2") for text in (row, *[""] * 7)],
        columns=8,
        colors=["white"] * 8 + [VIEW_A] * 8 + [VIEW_B] * 8,
    ),
    "Eight images; below each of them its two views: cropped, mirrored and recoloured versions of it.",
)

# %% [markdown]
# Rows $k$ and $k + N$ of `views` are a **positive pair**. To every view, the other $2N - 2$ views are **negatives**.
#
# Look at a column: what do both views of an image still share? Noticing that, and ignoring the rest, is what the loss
# rewards.

# %% [markdown]
# ## 2. Encoder and projection head
#
# The **encoder** $f$ is the network that we want to have at the end. Its output $h$ is the representation. The **projection
# head** $g$ is a small network on top, used in training only. The loss looks at $z = g(h)$, and lets $z$ drop whatever does
# not help to find the partner. What is lost is lost there, so that $h$ can keep more: in the paper's Table 3, how an image was
# rotated can be read from $h$ in 67.6% of the cases and from $g(h)$ in 25.6%, where guessing gives 25%. After training, the
# head is thrown away.

# %%
from helpers.models import ProjectionHead, build_encoder

encoder = build_encoder("tiny")
head = ProjectionHead(encoder.feature_dim)
h = encoder(views)
z = head(h)
print("views", tuple(views.shape), "-> h", tuple(h.shape), "-> z", tuple(z.shape))
print(
    f"{sum(p.numel() for p in encoder.parameters()):,} parameters in f, "
    f"{sum(p.numel() for p in head.parameters()):,} in g"
)

# %% [markdown]
# ## 3. The loss
#
# NT-Xent, the *normalised temperature-scaled cross-entropy*, asks each view $i$: which of the other $2N - 1$ views is your
# partner $j$? With $s_{ik}$ the cosine similarity of $z_i$ and $z_k$ and a temperature $\tau > 0$,
#
# $$\ell_i = -\log \frac{e^{s_{ij} / \tau}}{\sum_{k \neq i} e^{s_{ik} / \tau}},$$
#
# and the loss is the mean over all $2N$ views. Two values are worth knowing when you look at a curve: **chance**, where all
# projections are alike, and a **floor**, where pairs are equal and everything else is at right angles. (A little less than the floor is
# possible, since different images can have negative similarities; in a large batch it is very little.)
#
# **Predict:** what is the loss at chance, when each of the $2N - 1$ answers is equally likely?

# %%
import math

from helpers.losses import nt_xent

N, tau = 8, 0.5
collapsed = torch.ones(2 * N, 128)
aligned = torch.eye(N, 128).repeat(
    2, 1
)  # the two views of an image equal, everything else at right angles
print(f"chance: {nt_xent(collapsed, tau):.4f}   log(2N - 1) = {math.log(2 * N - 1):.4f}")
print(
    f"floor:  {nt_xent(aligned, tau):.4f}   log(1 + (2N - 2) exp(-1/tau)) = "
    f"{math.log(1 + (2 * N - 2) * math.exp(-1 / tau)):.4f}"
)

# %% [markdown]
# At chance the probability of the right answer is $1 / (2N - 1)$, so the loss is $\log(2N - 1)$.
#
# ## 4. The loop, in ten lines
#
# Now the loop. That is all there is to it: draw two views, project them, compare, step.

# %%
optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=settings.lr)
losses = []
for _ in range(30):
    images = train.images[torch.randint(len(train), (64,))]
    z = head(encoder(torch.cat([augment(images), augment(images)])))
    loss = nt_xent(z, settings.temperature)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(
    "loss:",
    " ".join(f"{value:.2f}" for value in losses[::5]),
    f"   (chance is {math.log(2 * 64 - 1):.2f})",
)

# %% [markdown]
# It comes down, though thirty steps do not yet bring it below chance. (It starts well above: at a low temperature an untrained network
# can be *confidently* wrong.) But is a falling loss good news? Let us count what it stands for.

# %% [markdown]
# ### Exercise 1 · How often is the pair found?
#
# **Pairs found** (contrastive top-1 accuracy) is the share of the $2N$ views whose most similar other view is their partner. Write it:
# rows $k$ and $k + N$ of `z` are a pair, and a view must not choose itself.

# %%
import torch.nn.functional as F


def contrastive_top1(z: torch.Tensor) -> float:
    """Return the share of rows of z, (2N, D), whose nearest other row by cosine similarity is their partner."""
    ### BEGIN SOLUTION
    # -inf on the diagonal: nobody is a neighbour of oneself.
    unit = F.normalize(z, dim=1)
    similarity = (unit @ unit.T).fill_diagonal_(-math.inf)
    partner = torch.arange(len(z)).roll(len(z) // 2)
    return (similarity.argmax(dim=1) == partner).float().mean().item()
    ### END SOLUTION


# %%
from helpers.checks import check, hint

check("contrastive_top1", contrastive_top1)

# %% [markdown]
# ## 5. The same with Lightning
#
# `helpers/simclr.py` holds the loop that you have just seen, and adds what a real run needs: warm-up and a cosine schedule,
# 16-bit arithmetic where the machine has it, checkpoints from which an interrupted run goes on, several GPUs. These are its
# settings. Any of them can be changed: `settings_for("laptop", "shapes", temperature=0.5)`. (Batch, epochs and optimiser are a
# laptop's. Of the policy, three differ from the paper's on purpose. A crop of less than half often misses the one shape in the
# picture. Most views are grey, since a shape's hue beside that of its ground survives the jitter, and would be a clue to the
# partner. And blur takes too much from 32 pixels.)

# %%
from dataclasses import asdict

for name, value in asdict(settings).items():
    print(f"{name:>15}  {value}")

# %% [markdown]
# ### Exercise 2 · Write the schedule
#
# The learning rate climbs for a while and then follows half a cosine down to 0. Write the factor by which the peak rate is
# multiplied at a step: $(step + 1) / (warmup + 1)$ before `warmup`, and from there on $\frac{1}{2} (1 + \cos \pi t)$, where
# $t$ goes from 0 at `warmup` to 1 at `total`.


# %%
def lr_factor(step: int, warmup: int, total: int) -> float:
    """Return the share of the peak learning rate at a step."""
    ### BEGIN SOLUTION
    # Up a line, then down half a wave that begins where the line ends.
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
    ### END SOLUTION


# %%
check("lr_factor", lr_factor)

# %% [markdown]
# ## What to watch
#
# | curve | healthy | worry when |
# |---|---|---|
# | **loss** | starts at chance, $\log(2N - 1)$, or above, and falls far below it, towards the floor | it stays near chance, or becomes nan |
# | **pairs found** | rises early and keeps rising | it stays at the few percent of an untrained network |
# | **spread of z** | well above 0: projections point in different directions | it falls to 0: all images get the same $z$, a **collapse** |
# | **kNN accuracy**, held out | keeps rising | it stays low while the other three look healthy |
#
# (The spread is $1 - \lVert \text{mean of the normalised } z \rVert^2$: 0 if all are one point, 1 if their mean is 0.) The first
# three need no labels. The fourth uses the labels of 3,000 training and 1,000 validation images to measure; no gradient comes
# from them. The test split stays closed until the end.
#
# **Predict:** a network may match views by colour alone, an easy clue that says nothing about the content: a **shortcut**. Which of the
# curves gives it away?
#
# <details><summary>Which one?</summary>
#
# Only the last one, kNN. The others are about the task, and the task is solved.
# </details>

# %% [markdown]
# ## 6. The run
#
# `LIVE = True` trains here and now: about three minutes on two CPU cores, and the curves grow while you watch.
# You may press the stop button at any time: the cell then says how far the run came, and all below shows the network as it was
# then. `LIVE = False` shows the run that ships with the course.

# %%
from helpers.simclr import load_pretrained, pretrain
from helpers.widgets.monitor import TrainingMonitor

LIVE = True
# After a run that you stopped, START = result trains on from its weights, with a new schedule.
START = None

if LIVE:
    monitor = TrainingMonitor(settings, len(train), classes=len(train.classes))
    result = pretrain(train, settings, val=val, monitor=monitor, start=START)
else:
    result = load_pretrained("shapes-tiny")
print("trained here:" if LIVE else "loaded shapes-tiny:", result.summary())
if result.interrupted:
    print(
        "To train on from here, set START = result above and run this cell again. All below shows the run as it is."
    )

# %%
from helpers.plotting import draw_training_curves

last = result.history[-1]
picture(
    draw_training_curves(
        result.history,
        result.settings.chance_loss,
        result.settings.floor_loss,
        last["step"],
        knn_chance=1 / len(train.classes),
    ),
    f"Four curves over the {last['step']} steps of the run. The last values: loss {last['loss']:.2f}, where chance is "
    f"{result.settings.chance_loss:.2f}; pairs found {last['top1']:.0%}; spread of z {last['spread']:.2f}; kNN "
    f"accuracy {last['knn']:.0%}.",
)

# %% [markdown]
# ## 7. Has it learned?
#
# Now, once, the test images. Three ways to describe an image answer the same question: do its 20 nearest training images
# vote for the right shape? (All training images may vote here, not only 3,000 as in the curve above.)
#
# **Predict** the three numbers before you run the cell. Guessing is right 10% of the time.

# %%
from torch import nn

from helpers.evaluation import extract_features, knn_accuracy
from helpers.metrics import proportion_interval

test = load("shapes", "test")
for name, f in {
    "raw pixels": nn.Flatten(),
    "random f": build_encoder("tiny").eval(),
    "SimCLR f": result.encoder,
}.items():
    bank, queries = extract_features(f, train.images), extract_features(f, test.images)
    accuracy = knn_accuracy(bank, train.labels, queries, test.labels)
    low, high = proportion_interval(round(accuracy * len(test)), len(test))
    print(f"{name:>10}: {accuracy:.1%}   (95% interval over test images: {low:.1%} to {high:.1%})")
print("SimCLR f:", result.summary())

# %% [markdown]
# ### Exercise 3 · Let neighbours vote
#
# What does that vote look like? Write it: each query gets the label that most of its $k$ nearest bank vectors have, nearest by cosine
# similarity. (The course's own vote lets nearer ones count for more; here each has one voice.)


# %%
def knn_predict(
    bank: torch.Tensor, labels: torch.Tensor, queries: torch.Tensor, k: int
) -> torch.Tensor:
    """Return a label for each of queries, (Q, D), from bank vectors (B, D) with labels (B,): shape (Q,)."""
    ### BEGIN SOLUTION
    # The places of the k largest cosines in each row, and the most frequent label there.
    similarity = F.normalize(queries, dim=1) @ F.normalize(bank, dim=1).T  # (Q, B)
    nearest = similarity.topk(k, dim=1).indices  # (Q, k)
    return labels[nearest].mode(dim=1).values
    ### END SOLUTION


# %%
check("knn_predict", knn_predict)

# %% [markdown]
# A single run depends on its seed. `data/results/laptop.csv` holds the same run with three seeds, and three more in which the
# colour transforms are switched off. *kNN* is as above; *probe* is the accuracy of a **linear probe**, a linear classifier
# trained on $h$ with 5,000 labels. ± is a 95% interval over seeds.

# %%
import csv

from helpers.artifacts import RESULTS
from helpers.metrics import mean_interval

with (RESULTS / "laptop.csv").open() as file:
    runs = [
        row
        for row in csv.DictReader(file)
        if row["data"] == "shapes" and row["condition"] != "raw pixels"
    ]
for condition in dict.fromkeys(row["condition"] for row in runs):
    rows = [row for row in runs if row["condition"] == condition]
    kNN, probe = (mean_interval([float(row[score]) for row in rows]) for score in ("knn", "probe"))
    print(
        f"{condition:>30}: kNN {kNN[0]:.1%} ± {kNN[1]:.1%}, probe {probe[0]:.1%} ± {probe[1]:.1%} ({len(rows)} seeds)"
    )

# %% [markdown]
# Without colour distortion, the two views of an image share their colours, and hardly any two images share them. Colour is then
# an easy clue to the partner, and the shape is hardly needed: by kNN the result is below an untrained encoder. The paper's Figure
# 6 shows the same clue in photos: the histograms of pixel intensity of two crops alone tell whether they come from one image.

# %% [markdown]
# ## On a GPU, on real photos
#
# The same code with other settings (the **preset** `colab`): a ResNet-18 on CIFAR-10. With a GPU and an internet connection, set
# `TRAIN_ON_GPU = True`. The run is kept in `PLACE`: if you stop it, or the session ends first, run the cell again and it resumes.
# Colab takes its machine back together with its disk. There, connect your Drive first, and name a folder in it. From a terminal it
# is `python -m helpers train --data cifar10 --preset colab`, in the course's folder and with its Python (`.venv/bin/python`).

# %%
from pathlib import Path

TRAIN_ON_GPU = False
PLACE = Path("runs")  # in Colab: Path("/content/drive/MyDrive/simclr")

gpu_settings = settings_for("colab", "cifar10")
if TRAIN_ON_GPU and torch.cuda.is_available():
    photos = load("cifar10", "train")
    gpu_result = pretrain(
        photos,
        gpu_settings,
        val=load("cifar10", "val"),
        out=PLACE / "cifar10-colab",
        resume=True,
        monitor=TrainingMonitor(gpu_settings, len(photos), classes=10),
    )
    print(gpu_result.summary())
    if gpu_result.interrupted:
        print(f"Run this cell again: it resumes the run in {PLACE}.")
else:
    print(
        f"GPU here: {torch.cuda.is_available()}. It would train {gpu_settings.encoder}, batch {gpu_settings.batch_size}, {gpu_settings.epochs:g} epochs, "
        f"colour strength {gpu_settings.color_strength}"
    )

# %% [markdown]
# ## The clinic
#
# Three runs have gone wrong. They used the same images, encoder and policy as a healthy run, with one fault each (and patient A
# with a simpler head). The number in each panel is the last value. Here are four epochs of the healthy run and of the three
# patients. The loss shown is NT-Xent computed correctly, also where the patient was trained on something else.
#
# **Diagnose before you read on.** One patient has a learning rate that is far too high, one has been told the wrong partners,
# and one has collapsed. Which is which, and which curve gave it away?

# %%
from helpers.plotting import draw_clinic

with (RESULTS / "clinic.csv").open() as file:
    clinic = [
        {
            key: float(value) if value and key != "run" else value or None
            for key, value in row.items()
        }
        for row in csv.DictReader(file)
    ]
batch_size = int(clinic[0]["batch_size"])
patients = {
    name: [row for row in clinic if row["run"] == name] for name in ("healthy", "A", "B", "C")
}
picture(
    draw_clinic(patients, chance_loss=math.log(2 * batch_size - 1), knn_chance=0.1),
    "Curves of a healthy run and of patients A, B and C: NT-Xent loss, pairs found, spread of z and kNN "
    "accuracy over the steps.",
)

# %% [markdown]
# <details><summary><b>Patient A</b></summary>
#
# **Collapse.** The spread of $z$ falls to 0 within a few steps: all images have become the same point. NT-Xent then sits exactly
# at chance, and kNN stays where an untrained network's is. The fault: the negatives were left out of the loss, so that only "pull
# the pair together" was left, and the quickest way to do that is to map everything to one point. Negatives prevent this. (This
# patient's head is linear. The usual head ends in BatchNorm, which keeps the spread up and would have hidden the collapse.)
# </details>
#
# <details><summary><b>Patient B</b></summary>
#
# **Wrong positive.** The spread stays near 1, so nothing has collapsed. Yet hardly any pair is found, and NT-Xent only
# comes down to chance. The fault: row 0 was paired with row 1, row 2 with row 3, and so on, as if views alternated, though they are
# stacked (all first views, then all second views). The network was asked to match views of *different* images.
# </details>
#
# <details><summary><b>Patient C</b></summary>
#
# **Learning rate far too high.** The loss starts far above the healthy run's, drops to chance within a few dozen steps, while
# most of the spread goes. Unlike A it recovers a little, slowly and not far, and it finds hardly any pair. The fault: a learning
# rate 500 times that of the healthy run.
# </details>

# %% [markdown]
# ## Five questions

# %%
from helpers.widgets.quiz import Quiz

Quiz("04")

# %% [markdown]
# ## What you have learned
#
# * SimCLR has four parts, two views, an encoder, a head and NT-Xent, and a loop of ten lines.
# * Read the loss beside chance, $\log(2N - 1)$, and the floor, which depends on $\tau$. The loss alone does not tell a useful
#   feature from a shortcut: check with labels.
# * A spread near 0 means collapse. Pairs not found in spite of a good spread: check first how they are paired. A spread that falls at
#   once and comes back only in part, with a loss that hardly falls below chance: lower the learning rate.
# * Without colour distortion, colour is an easy clue to the partner, and hardly any shape is learned.
#
# ## Further
#
# `python -m helpers train --help`, in a terminal, lists everything that can be changed. A run that is killed goes on with
# `--resume`.
