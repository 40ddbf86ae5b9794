# %% [markdown]
# # 00 · Welcome
#
# **Does my machine work, and where are we going?**
#
# You will check your machine, look at the first images, and see in one picture what this course is about: a network
# that sorts images by what they show, and has never been told what they show.
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
# Is something `missing`? In a terminal, `python -m helpers doctor` says what to do about it.

# %% [markdown]
# ## Where are we going?
#
# Labels are expensive: somebody has to look at every image. Images without labels are everywhere. **Self-supervised
# learning** learns from images alone, and needs labels only at the very end, and only a few of them. This course follows
# one such method all the way, **SimCLR** (Chen et al., 2020):
#
# | | notebook | question |
# |---|---|---|
# | 00 | welcome | does my machine work, and where are we going? |
# | 04 | train_simclr | how is it trained, on a laptop and on a GPU, and how do I know that it learns? |
#
# Two symbols will come back everywhere. The **encoder** $f$ turns an image into a list of numbers, its **representation**
# $h$. A good encoder gives similar $h$ to images that show the same kind of thing.

# %% [markdown]
# ## The first images
#
# The course draws its own images, so that nothing has to be downloaded and every fact about them is known. There are ten
# shapes, each in any colour, size, place, angle and light, on any ground.

# %%
from helpers.data import load
from helpers.plotting import show_images
from helpers.widgets.picture import picture

train, test = load("shapes", "train"), load("shapes", "test")
first = [int((test.labels == label).nonzero()[0]) for label in range(10)]
picture(show_images(test.images[first], [test.classes[label] for label in range(10)], columns=10),
        "Ten small pictures, one of each shape: disc, ring, moon, drop, heart, triangle, square, cross, star, arrow.")

# %% [markdown]
# ## What makes two images similar?
#
# **Predict first.** Take one image and look for its nearest neighbours among the training images. If "near" means *similar
# pixels*, what will the neighbours have in common with it: the shape, or the colours?
#
# We compare three ways to turn an image into numbers: the raw pixels, an encoder with random weights, and the same
# encoder after a few minutes of SimCLR, trained on these images **without a single label**.

# %%
from torch import nn

from helpers.evaluation import extract_features
from helpers.models import build_encoder
from helpers.simclr import load_pretrained

simclr = load_pretrained("shapes-tiny")
encoders = {"pixels": nn.Flatten(), "random encoder": build_encoder("tiny").eval(), "SimCLR": simclr.encoder}
features = {name: [extract_features(encoder, part.images) for part in (train, test)]
            for name, encoder in encoders.items()}
print(f"trained on {simclr.card['data']} in {simclr.card['seconds'] / 60:.1f} minutes "
      f"({simclr.card['hardware']}), seed {simclr.settings.seed}")

# %% [markdown]
# Each row: one image that no encoder has seen in training, then its six nearest neighbours by cosine similarity. A green
# frame with a tick marks a neighbour of the same shape, an orange one with a cross another shape.

# %%
import torch.nn.functional as F

from helpers.plotting import draw_neighbors

queries = [first[label] for label in (8, 4, 1)]  # a star, a heart, a ring
found = {name: (F.normalize(asked[queries]) @ F.normalize(bank).T).topk(6).indices
         for name, (bank, asked) in features.items()}
picture(draw_neighbors(test.images[queries], test.labels[queries],
                       {name: train.images[rows] for name, rows in found.items()},
                       {name: train.labels[rows] for name, rows in found.items()}),
        "Three query images and their six nearest neighbours by pixels, by a random encoder and by SimCLR. Pixels find "
        "similar colours with mixed shapes; SimCLR finds mostly the same shape in other colours.")

# %% [markdown]
# Pixels find the same colours. SimCLR finds the same shape, in whatever colour. Over all the test images:

# %%
from helpers.evaluation import knn_accuracy
from helpers.metrics import proportion_interval

for name, (bank, asked) in features.items():
    accuracy = knn_accuracy(bank, train.labels, asked, test.labels)
    low, high = proportion_interval(round(accuracy * len(test)), len(test))
    print(f"{name:>15}: the nearest neighbours name the right shape in {accuracy:.1%} ({low:.1%} to {high:.1%})")

# %% [markdown]
# The labels were used once here, to count. (Guessing gives 10%; the intervals are 95% over the 2,000 test images.)
#
# ## What you have seen
#
# * Similar pixels are not similar content.
# * SimCLR learned, from images alone, to look past colour, place and size to the shape.
#
# How? By one idea: **show the network two altered views of the same image, and ask it to find the pair.** Notebook 04
# trains the encoder that you have just used.
