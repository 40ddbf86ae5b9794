# %% [markdown]
# # 04 · Train SimCLR
#
# **How is it trained, on a laptop and on a GPU, and how do I know that it learns?**
#
# You will build the training loop from its five parts, write it in ten lines of PyTorch, run it properly with Lightning
# while its curves grow before you, and learn to read those curves: in the clinic at the end, three runs have gone wrong,
# and you find out how.
#
# *6 minutes on two CPU cores. You should know what a loss and an optimiser are. Everything here runs without network.*

# %%
import torch

from helpers.runtime import hardware, seed_everything, versions

seed_everything(0)
print(hardware())
print({name: version for name, version in versions().items() if name in ("python", "torch", "lightning")})

# %% [markdown]
# ## The plan
#
# ```
# image ──► two views ──► h = f(view) ──► z = g(h) ──► NT-Xent: find the pair
#           Augment       encoder         head
# ```
#
# No label appears anywhere. The only thing that the network is told is which two views came from the same image.

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
augment = Augment(settings.policy())
batch = train.images[:8]
views = torch.cat([augment(batch), augment(batch)])  # (2N, 3, 32, 32): all first views, then all second views
rows = torch.cat([batch.float() / 255, views])
picture(show_images(rows, ["image"] * 8 + ["view 1"] * 8 + ["view 2"] * 8, columns=8,
                    colors=["white"] * 8 + [VIEW_A] * 8 + [VIEW_B] * 8),
        "Eight images; below each of them its two views: cropped, mirrored and recoloured versions of it.")

# %% [markdown]
# Rows $k$ and $k + N$ of `views` are a **positive pair**. To every view, the other $2N - 2$ views are **negatives**.
#
# Look at a column: what do both views of an image still share? That, and nothing else, is what can be learned.

# %% [markdown]
# ## 2. Encoder and projection head
#
# The **encoder** $f$ is the network that we want to have at the end. Its output $h$ is the representation. The **projection
# head** $g$ is a small network on top, used in training only. The loss looks at $z = g(h)$, and may make $z$ forget
# everything that the task does not need, colour for example. The head takes that damage, $h$ keeps more, and when training
# is over the head is thrown away.

# %%
from helpers.models import ProjectionHead, build_encoder

encoder = build_encoder("tiny")
head = ProjectionHead(encoder.feature_dim)
h = encoder(views)
z = head(h)
print("views", tuple(views.shape), "-> h", tuple(h.shape), "-> z", tuple(z.shape))
print(f"{sum(p.numel() for p in encoder.parameters()):,} parameters in f, "
      f"{sum(p.numel() for p in head.parameters()):,} in g")

# %% [markdown]
# ## 3. The loss
#
# NT-Xent asks each view: *which of the other $2N - 1$ views is your partner?* It is a cross-entropy over cosine
# similarities, divided by a temperature $\tau$ (notebook 03 builds it step by step). Two values are worth knowing, because
# every training curve lies between them.
#
# **Predict:** what is the loss if all projections are the same point, so that every answer is equally likely?

# %%
import math

from helpers.losses import nt_xent

N, tau = 8, 0.5
collapsed = torch.ones(2 * N, 128)
aligned = torch.eye(N, 128).repeat(2, 1)  # the two views of an image equal, everything else at right angles
print(f"all the same: {nt_xent(collapsed, tau):.4f}    log(2N - 1) = {math.log(2 * N - 1):.4f}   <- chance")
print(f"pairs equal:  {nt_xent(aligned, tau):.4f}    log(1 + (2N - 2) exp(-1/tau)) = "
      f"{math.log(1 + (2 * N - 2) * math.exp(-1 / tau)):.4f}   <- floor, about")

# %% [markdown]
# ## 4. The loop, in ten lines
#
# That is all there is to it. Draw two views, embed them, compare, step.

# %%
optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=settings.lr)
losses = []
for _ in range(30):
    rows = torch.randint(len(train), (64,))
    views = torch.cat([augment(train.images[rows]), augment(train.images[rows])])
    z = head(encoder(views))
    loss = nt_xent(z, settings.temperature)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print("loss:", " ".join(f"{value:.2f}" for value in losses[::5]), f"   (chance is {math.log(2 * 64 - 1):.2f})")

# %% [markdown]
# It starts near chance, or a little above, and comes down. (Above chance? At a low temperature an untrained network can be
# *confidently* wrong.) But is a falling loss good news? Let us count what it stands for.

# %% [markdown]
# ### Exercise 1 · How often is the pair found?
#
# The **contrastive top-1 accuracy** is the share of the $2N$ views whose most similar other view is their partner. Write it:
# rows $k$ and $k + N$ of `z` are a pair, and a view must not choose itself.

# %%
import torch.nn.functional as F


def contrastive_top1(z: torch.Tensor) -> float:
    """Return the share of rows of z, (2N, D), whose nearest other row by cosine similarity is their partner."""
    ### BEGIN SOLUTION
    unit = F.normalize(z, dim=1)
    similarity = (unit @ unit.T).fill_diagonal_(-math.inf)
    partner = torch.arange(len(z)).roll(len(z) // 2)
    return (similarity.argmax(dim=1) == partner).float().mean().item()
    ### END SOLUTION


# %%
from helpers.metrics import contrastive_rank

mine, expected = contrastive_top1(z.detach()), contrastive_rank(z)[0].item()
if mine is None or mine is ...:
    print("not done yet")
elif abs(mine - expected) < 1e-6:
    print(f"right: {mine:.1%} of the views find their partner (guessing finds {1 / (2 * 64 - 1):.1%})")
else:
    print(f"{mine} is not {expected:.4f}. Can a view choose itself in your version? Is the partner of row 0 row N?")

# %% [markdown]
# ## 5. The same with Lightning
#
# `helpers/simclr.py` holds the loop that you have just written, and adds what a real run needs: warm-up and a cosine
# schedule, 16-bit arithmetic where the machine has it, checkpoints that survive a kill, several GPUs. Here is what it will
# do. Each line can be changed: `settings_for("laptop", "shapes", temperature=0.5)`.

# %%
from dataclasses import asdict

print("  ".join(f"{name}={value}" for name, value in asdict(settings).items()))

# %% [markdown]
# ## What to watch
#
# | curve | healthy | worry when |
# |---|---|---|
# | **loss** | from chance, $\log(2N - 1)$, down towards the floor | it stays at chance, jumps, or becomes nan |
# | **pairs found first** | rises early and keeps rising | it stays near $1/(2N - 1)$ |
# | **spread of z** | near 1: projections lie all over the sphere | it falls to 0: all images get the same $z$, a **collapse** |
# | **kNN accuracy** on held-out images | rises, and goes on after the loss has flattened | it falls while the loss falls: a shortcut |
#
# The first three need no labels. The fourth does, a few, and only to look: nothing is learned from them, and they come from
# the validation split. The test split stays closed until the end.
#
# **Predict:** the loss cannot tell a useful feature from a shortcut. Which of the four curves can?

# %% [markdown]
# ## 6. The run
#
# `LIVE = True` trains here and now: under three minutes on two CPU cores, and the curves grow while you watch. You may press
# the stop button at any time and keep what has been learned. `LIVE = False` shows the run that ships with the course.

# %%
from dataclasses import replace

from helpers.runtime import fast_mode
from helpers.simclr import load_pretrained, pretrain
from helpers.widgets.monitor import TrainingMonitor

LIVE = True

if fast_mode():  # the tests of the course: seconds instead of minutes
    settings = replace(settings, epochs=0.2)
if LIVE:
    monitor = TrainingMonitor(settings, len(train), classes=len(train.classes))
    result = pretrain(train, settings, val=val, monitor=monitor)
else:
    result = load_pretrained("shapes-tiny")
print(f"{'trained here' if LIVE else 'loaded shapes-tiny, trained'} in {result.card['seconds'] / 60:.1f} minutes on "
      f"{result.card['hardware']}; {result.settings.epochs:g} epochs, batch {result.settings.batch_size}")

# %%
from helpers.plotting import draw_training_curves

picture(draw_training_curves(result.history, result.settings.chance_loss, result.settings.floor_loss,
                             result.history[-1]["step"], knn_chance=1 / len(train.classes)),
        "Four curves over the steps of the run: the loss falls from near chance level towards the floor, the share of "
        "pairs found first rises, the spread of z stays near 1, and kNN accuracy on held-out images rises.")

# %% [markdown]
# ## 7. Has it learned?
#
# Now, once, the test images. Three encoders answer the same question: do an image's nearest training images, by cosine
# similarity of $h$, show the same shape?
#
# **Predict** the three numbers before you run the cell. Guessing is right in 10%.

# %%
from torch import nn

from helpers.evaluation import extract_features, knn_accuracy
from helpers.metrics import proportion_interval

test = load("shapes", "test")
for name, f in {"raw pixels": nn.Flatten(), "random f": build_encoder("tiny").eval(), "SimCLR f": result.encoder}.items():
    bank, asked = extract_features(f, train.images), extract_features(f, test.images)
    accuracy = knn_accuracy(bank, train.labels, asked, test.labels)
    low, high = proportion_interval(round(accuracy * len(test)), len(test))
    print(f"{name:>10}: {accuracy:.1%}   (95% interval over test images: {low:.1%} to {high:.1%})")

# %% [markdown]
# One run is one draw of luck. `data/results/laptop.csv` repeats it with three seeds, and once more with the colour
# transforms switched off:

# %%
import csv

from helpers.artifacts import RESULTS
from helpers.metrics import mean_interval

with (RESULTS / "laptop.csv").open() as file:
    runs = list(csv.DictReader(file))
for condition in dict.fromkeys(row["condition"] for row in runs):
    rows = [row for row in runs if row["condition"] == condition]
    for score in ("knn", "probe"):
        mean, width = mean_interval([float(row[score]) for row in rows])
        print(f"{condition:>28}, {score:>5}: {mean:.1%} ± {width:.1%} ({len(rows)} seeds)")

# %% [markdown]
# Without colour distortion the two views of an image share their colours, no two images have quite the same, and that is
# enough to find every pair. The network learns colour, and hardly any shape. The paper's section 3.1 makes the same point on
# ImageNet: *crop and colour distortion together* are what makes it work.

# %% [markdown]
# ### Exercise 2 · Read the schedule
#
# The learning rate climbs for a while and then follows half a cosine down to 0. Write the factor by which the peak rate is
# multiplied at a step: $(step + 1) / (warmup + 1)$ before `warmup`, and after it half a cosine from 1 (at `warmup`) to 0 (at
# `total`).


# %%
def lr_factor(step: int, warmup: int, total: int) -> float:
    """Return the share of the peak learning rate at a step."""
    ### BEGIN SOLUTION
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
    ### END SOLUTION


# %%
from helpers.simclr import SimCLR

module = SimCLR(replace(settings, epochs=10.0, warmup_epochs=1.0), train.images)
warmup, total = module.steps_per_epoch, module.total_steps
wrong = [step for step in (0, 5, warmup - 1, warmup, total // 2, total)
         if lr_factor(step, warmup, total) is not ... and lr_factor(step, warmup, total) is not None
         and abs(lr_factor(step, warmup, total) - module.lr_factor(step)) > 1e-6]
if lr_factor(0, warmup, total) in (None, ...):
    print("not done yet")
else:
    print(f"at step {wrong[0]} it should be {module.lr_factor(wrong[0]):.4f}, yours is "
          f"{lr_factor(wrong[0], warmup, total):.4f}" if wrong else "right at every step tried")

# %% [markdown]
# ## On a GPU, on real photos
#
# The same code, another preset: a ResNet-18 on CIFAR-10. On a computer with a GPU and network, this cell trains it (set
# `TRAIN_ON_GPU`); anywhere else it says what it would do. From a terminal, and resumable, it is
# `python -m helpers train --data cifar10 --preset colab`.

# %%
TRAIN_ON_GPU = False

gpu_settings = settings_for("colab", "cifar10")
if TRAIN_ON_GPU and torch.cuda.is_available():
    photos = load("cifar10", "train")
    gpu_result = pretrain(photos, gpu_settings, val=load("cifar10", "val"), out="runs/cifar10-colab",
                          monitor=TrainingMonitor(gpu_settings, len(photos), classes=10))
else:
    print(f"would train {gpu_settings.encoder}, batch {gpu_settings.batch_size}, {gpu_settings.epochs:g} epochs, "
          f"colour strength {gpu_settings.color_strength}")

# %% [markdown]
# ## The clinic
#
# Three runs have gone wrong. They used the same images, encoder and policy as a healthy run, with one fault each. Here
# are the curves of the healthy run and of the three patients.
#
# **Diagnose before you read on.** Which patient has collapsed? Which has been told the wrong partners? Which has a learning
# rate that is far too high? Name the curve that gave it away.

# %%
from helpers.plotting import draw_clinic

with (RESULTS / "clinic.csv").open() as file:
    clinic = [{key: float(value) if value and key != "run" else value or None for key, value in row.items()}
              for row in csv.DictReader(file)]
batch_size = int(clinic[0]["batch_size"])
patients = {name: [row for row in clinic if row["run"] == name] for name in ("healthy", "A", "B", "C")}
picture(draw_clinic(patients, chance_loss=math.log(2 * batch_size - 1)),
        "Curves of a healthy run and of patients A, B and C: NT-Xent loss, pairs found first, spread of z and kNN "
        "accuracy over the steps.")

# %% [markdown]
# <details><summary><b>Patient A</b></summary>
#
# **Collapse.** The spread of $z$ falls to 0: all images have become the same point. NT-Xent then sits at chance and kNN
# falls. The fault: the negatives were left out of the loss, so that only "pull the pair together" was left. The fastest way to
# do that is to map everything to one point. Negatives are what keeps SimCLR from it.
# </details>
#
# <details><summary><b>Patient B</b></summary>
#
# **Wrong positive.** The spread stays near 1, so nothing has collapsed. Yet hardly any pair is found, and NT-Xent is
# no better than chance. The fault: row $k$ was paired with row $k + 1$, as if views were interleaved, though they are
# stacked (all first views, then all second views). The network was asked to match views of *different* images.
# </details>
#
# <details><summary><b>Patient C</b></summary>
#
# **Learning rate far too high.** The loss jumps up at once, well above chance, and comes down late and not far, as the schedule
# lowers the rate. Some pairs are found, so positives are right. The fault: a learning rate 500 times that of the healthy run.
# </details>

# %% [markdown]
# ## What you have learned
#
# * SimCLR is five parts: two views, an encoder, a head, NT-Xent, and a loop of ten lines.
# * The loss lies between chance, $\log(2N - 1)$, and a floor that depends on $\tau$. Alone it does not tell a useful feature
#   from a shortcut: a few labels for looking do.
# * Spread near 0 means collapse. Pairs not found at full spread means wrong pairs. A loss that jumps means too high a rate.
# * Without colour distortion, colour alone finds the pairs, and the shape is not learned.
#
# ## Further
#
# `python -m helpers train --help` lists everything that can be changed. A run that is killed goes on with `--resume`.
