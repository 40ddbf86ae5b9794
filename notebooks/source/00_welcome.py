# %% [markdown]
# # 00 · Welcome
#
# **Does my machine work, and where are we going?**
#
# You will check your machine, look at the first images, and see in one picture what this course is about: a network
# that groups images by what they show, and has never been told what they show.
#
# *1 minute on two CPU cores. You should know some Python, and what a convolutional network and a gradient are.*

# %% [markdown]
# ## Your machine
#
# Any laptop will do. A graphics card makes things faster, and the course uses it when there is one.

# %%
from helpers.runtime import environment, seed_everything

seed_everything(0)
for name, value in environment().items():
    print(f"{name:>14}  {value}")

# %% [markdown]
# Is something `missing`? Run `.venv/bin/python -m helpers doctor` in a terminal, in the course's folder: it says what to do.

# %% [markdown]
# ## Where are we going?
#
# Labels are expensive: somebody has to look at every image. Images without labels are everywhere. **Self-supervised
# learning** learns from the images alone; labels come in only at the end, for the task that one really wants to solve. This
# course follows one such method all the way, **SimCLR** (Chen et al., 2020):
#
# | | notebook | question |
# |---|---|---|
# | 00 | welcome | does my machine work, and where are we going? |
# | 01 | self_prediction_vs_contrastive | how can a network learn without labels? |
# | 02 | augmentations | what makes two views the same picture? |
# | 03 | similarity_and_nt_xent | how does a similarity matrix become a loss? |
# | 04 | train_simclr | how is it trained, on a laptop and on a GPU, and how do I know that it learns? |
# | 05 | transfer_options | train all layers, train the last layers, or embed and classify: which, and when? |
# | 06 | findings | are the paper's three findings true here? |
# | 07 | your_images | the whole way, on your own photos: what do I get from it? |
#
# Two symbols will come back everywhere. The **encoder** $f$ is a network that turns an image into a list of numbers, its
# **representation** $h$. A good encoder gives similar $h$ to images that show the same kind of thing.

# %% [markdown]
# ## The first images
#
# The course draws its own images, so that nothing has to be downloaded and every fact about them is known. There are ten
# shapes, each in a random colour, size, position, tilt (up to 30°) and light, on a random background.

# %%
from helpers.data import load
from helpers.plotting import show_images
from helpers.widgets.picture import picture

train, val = load("shapes", "train"), load("shapes", "val")
first = [int((val.labels == label).nonzero()[0]) for label in range(10)]
picture(
    show_images(val.images[first], val.classes, columns=10),
    "Ten small pictures, one of each shape: disc, ring, moon, drop, heart, triangle, square, cross, star, arrow.",
)

# %% [markdown]
# ## What makes two images similar?
#
# **Predict first.** Take one image and look for its nearest neighbours among the training images. If "near" means *similar
# pixels*, what will the neighbours have in common with it: the shape, or the colours?
#
# We compare three ways to turn an image into numbers: its raw pixels; an encoder with random weights, to see what the
# architecture gives without any learning; and the same encoder after a few minutes of SimCLR, trained on the training
# images **without a single label**.

# %%
from torch import nn

from helpers.evaluation import extract_features
from helpers.models import build_encoder
from helpers.simclr import load_pretrained

simclr = load_pretrained("shapes-tiny")
encoders = {
    "pixels": nn.Flatten(),
    "random encoder": build_encoder("tiny").eval(),
    "SimCLR": simclr.encoder,
}
features = {
    name: [extract_features(encoder, part.images) for part in (train, val)]
    for name, encoder in encoders.items()
}
print(
    f"trained on {simclr.card['data']} in {simclr.card['seconds'] / 60:.1f} minutes "
    f"({simclr.card['hardware']}), seed {simclr.settings.seed}"
)

# %% [markdown]
# Each row: one held-out image, which was not trained on, and then its six nearest training images by cosine similarity (1 where two
# lists of numbers point the same way, 0 where they are unrelated: notebook 03). A
# green frame with a tick marks the same shape, an orange frame with a cross another shape.

# %%
import torch.nn.functional as F

from helpers.plotting import draw_neighbors

queries = [first[label] for label in (8, 4, 1)]  # a star, a heart, a ring
found = {
    name: (F.normalize(held_out[queries]) @ F.normalize(bank).T).topk(6).indices
    for name, (bank, held_out) in features.items()
}
picture(
    draw_neighbors(
        val.images[queries],
        val.labels[queries],
        {name: train.images[rows] for name, rows in found.items()},
        {name: train.labels[rows] for name, rows in found.items()},
    ),
    "Three query images and their six nearest neighbours by pixels, by a random encoder and by SimCLR. Pixels find "
    "similar colours with mixed shapes; SimCLR finds mostly the same shape in other colours.",
)

# %% [markdown]
# Pixels find similar colours. SimCLR finds mostly the same shape, in whatever colour. And over all held-out images? Let the
# 20 nearest training images vote for a shape, closer ones count more, and count how often they are right. This is **kNN
# accuracy**, the quickest way to see what a representation is worth.

# %%
from helpers.evaluation import knn_accuracy
from helpers.metrics import proportion_interval

for name, (bank, held_out) in features.items():
    accuracy = knn_accuracy(bank, train.labels, held_out, val.labels)
    low, high = proportion_interval(round(accuracy * len(val)), len(val))
    print(f"{name:>15}: kNN accuracy {accuracy:.1%} ({low:.1%} to {high:.1%})")

# %% [markdown]
# Labels were used here to vote and to count, after the training. (Guessing is right 10% of the time; the intervals are for
# 95%, over the held-out images.)
#
# ## What you have seen
#
# * Similar pixels are not similar content.
# * SimCLR learned from images alone to look past colour to the shape.
#
# How? By one idea: **make two altered views of each image, and train the network to find the partner of every view among
# the views of other images.** The views change the colours, so colour alone cannot tell who the partner is. Notebook 01
# shows this idea beside its rivals, and notebook 04 trains an encoder like the one you have just used.
#
# From there on, exercises ask for a few lines of code: `check` tells which mistake a wrong answer looks like, and `hint` helps a
# step further. Every symbol and word is in `glossary.md`, beside the notebooks, and the folder `solutions` shows each notebook
# as it ran.
