# %% [markdown]
# # 02 · Augmentations
#
# **What makes two views the same picture?**
#
# You will change one photo in nine ways, draw pairs of views as SimCLR does and see how alike a trained encoder finds them, learn
# why cropping alone is not enough, and find out what happens when a transform destroys just what you wanted to know.
#
# *3 minutes on two CPU cores. You should have seen notebook 00. No internet connection is needed.*

# %%
import torch

from helpers.runtime import seed_everything

seed_everything(0)

# %% [markdown]
# ## 1. Nine ways to change a picture
#
# The authors of SimCLR studied these (the ten panels of their Figure 4, the original first). Each has its slider, and every panel is
# computed by the very functions that make the training views (`helpers/augmentations.py`). Take the temple, the flower, a shape, or a
# photo of your own (up to 10 MB).
#
# **Look for three things:** a transform that leaves the outlines and changes all colours; one that keeps the colours and destroys
# the outlines; and one that makes *you* unsure what the picture shows.

# %%
from helpers.widgets.transforms import TransformsExplorer

TransformsExplorer()

# %% [markdown]
# SimCLR uses a few of them, one after another: crop and resize, flip, colour jitter, colour drop, and blur. How strong
# each is, is drawn anew for every view. A **policy** holds these choices; the defaults are the paper's (Appendix A).

# %%
from helpers.augmentations import Augment, Policy

policy = Policy()
print(
    f"crop {policy.crop_area[0]:.0%} to {policy.crop_area[1]:.0%} of the area, flip with probability {policy.flip_p}"
)
print(
    f"colour jitter of strength s = {policy.color_strength} with probability {policy.color_p}, grey {policy.gray_p}"
)
print(
    f"blur of {policy.blur_sigma[0]} to {policy.blur_sigma[1]} px with probability {policy.blur_p}"
)

# %%
from helpers.data import sample_photos
from helpers.plotting import VIEW_A, show_images
from helpers.widgets.picture import picture

photos = sample_photos(128)
views = Augment(Policy(size=96))(
    photos.images[3].expand(16, -1, -1, -1)
)  # one photo, sixteen draws: (16, 3, 96, 96)
picture(
    show_images(views, columns=8, colors=[VIEW_A] * 16),
    "Sixteen views of one photo of a flower: different crops, mirrored or not, in many colours, some grey, some blurred.",
)

# %% [markdown]
# All sixteen come from one photo. That is all the supervision there is: *these belong together, whatever they look like.*

# %% [markdown]
# ### Exercise 1 · Two views of each image
#
# Write the function that every SimCLR step begins with: take images (N, 3, H, W), draw two views of each, and stack them: all first
# views, then all second views.


# %%
def two_views(images: torch.Tensor, augment: Augment) -> torch.Tensor:
    """Return views (2N, 3, size, size); rows k and k + N are two views of image k."""
    ### BEGIN SOLUTION
    # Every call draws anew, so two calls give two different views.
    return torch.cat([augment(images), augment(images)])
    ### END SOLUTION


# %%
from helpers.checks import check, hint

check("two_views", two_views)

# %% [markdown]
# If it is not right, the answer says which mistake it looks like. Stuck? `hint("two_views")` in a cell of your own helps a step
# further.
#
# ### Exercise 2 · An amount for every image
#
# Libraries often draw one amount of jitter for a whole batch: all views then become darker together. Ours draws one for every
# image. Write brightness and contrast that way. First brightness: multiply, and clip to 0 and 1. Then contrast: with $m$ the mean grey
# level of the whole brightened image, every value $x$ in all three colours becomes $m + c\,(x - m)$, where $c$ is the image's factor (1
# changes nothing); clip again. Grey is 0.2989 R + 0.587 G + 0.114 B.


# %%
def jitter(images: torch.Tensor, brightness: torch.Tensor, contrast: torch.Tensor) -> torch.Tensor:
    """Return images (N, 3, H, W) in [0, 1], each with its own brightness and contrast, factors of shape (N,)."""
    ### BEGIN SOLUTION
    # (N, 1, 1, 1) broadcasts one number over each image.
    brightness, contrast = brightness.view(-1, 1, 1, 1), contrast.view(-1, 1, 1, 1)
    images = (images * brightness).clamp(0, 1)
    gray = (images * torch.tensor([0.2989, 0.587, 0.114]).view(1, 3, 1, 1)).sum(
        dim=1, keepdim=True
    )  # (N, 1, H, W)
    middle = gray.mean(dim=(2, 3), keepdim=True)
    return (middle + (images - middle) * contrast).clamp(0, 1)
    ### END SOLUTION


# %%
check("color_jitter", jitter)

# %% [markdown]
# ## 2. What has the encoder become blind to?
#
# Below, two views of an image, and how alike an encoder finds them. The measure is **cosine similarity**: 1 for the same direction,
# 0 for unrelated, −1 for opposite (notebook 03). The mean of many images is taken off first, so that 0 is what two images have in
# common on average. *h* is what the encoder says, the **projection** *z* what a small extra network, used in training only, makes
# of it. The first picture decides who judges: an encoder that learned on shapes, or one that learned on photos. The short line is
# the mean over six pairs. (The one that learned on shapes had a policy of its own: crops of at least half the area, jitter of
# strength 1, seven of ten views grey, no blur. A smaller crop often misses the one shape.)
#
# **Predict:** which disturbs the trained encoder more, colour jitter as strong as in its training ($s = 1$), or a crop to half of the
# picture? And an encoder that learned nothing? (The table below answers.)

# %%
from helpers.widgets.two_views import TwoViewsExplorer

TwoViewsExplorer()

# %% [markdown]
# Try one change at a time, the others off and *smallest area* at 1: colour jitter with $s = 1$, then a *smallest area* of 0.08,
# each with the trained encoder and with raw pixels. Then $s = 1.5$, which is more than it met in training. Last, choose another
# star as the other image. Nobody told the encoder that two stars belong together, and the loss pushes them apart like any two
# images: that stars lie nearer to stars shows over many images only (kNN).
#
# One pair is an anecdote. Here are 500 held-out shapes. For each transform alone: how similar are an image and its changed
# version, in the eyes of the trained and of a random encoder? For scale, the last row compares *different* images.

# %%
import torch.nn.functional as F

from helpers.data import load
from helpers.evaluation import extract_features
from helpers.models import build_encoder
from helpers.simclr import load_pretrained

held_out = load("shapes", "val", limit=500).images
trained, untouched = load_pretrained("shapes-tiny").encoder, build_encoder("tiny").eval()
off = {"crop_area": (1.0, 1.0), "flip_p": 0.0, "color_p": 0.0, "gray_p": 0.0, "blur_p": 0.0}
changes = {
    "flip": {"flip_p": 1.0},
    "colour jitter": {"color_p": 1.0},
    "grey": {"gray_p": 1.0},
    "crop": {"crop_area": (0.5, 0.5)},
    "rotate": {"rotate_p": 1.0},
    "noise": {"noise_p": 1.0},
    "cutout": {"cutout_p": 1.0},
}
versions_of = {name: Augment(Policy(**off | change))(held_out) for name, change in changes.items()}
versions_of["another image"] = held_out.roll(1, dims=0)

# %%
center = {net: extract_features(net, held_out).mean(0) for net in (trained, untouched)}


def similarity(net, images: torch.Tensor) -> float:
    """Return the mean cosine similarity of h of the images and of the held-out ones, the mean of all h taken off."""
    one, two = (extract_features(net, batch) - center[net] for batch in (images, held_out))
    return F.cosine_similarity(one, two).mean().item()


print(f"{'':>15}  trained  random")
for name, images in versions_of.items():
    print(f"{name:>15}  {similarity(trained, images):7.2f}  {similarity(untouched, images):6.2f}")

# %% [markdown]
# The trained encoder hardly notices new colours and greyness, which its policy taught it to ignore; the random one notices these
# most. (Mirroring disturbs neither much: that row shows nothing learned.) Crops were in its policy too, and yet half of the
# picture cut away is noticed as much as noise and cutout, which were not: what is gone cannot be ignored. A turn by 90° or more,
# which was not in it either, it sees most clearly; to the random encoder a turned image is almost the same. **A policy is a
# statement about what does not matter.**

# %% [markdown]
# ## 3. Why the extra transformation?
#
# Cropping alone makes views that look different to us. Why distort colours as well? Look at what crops of one image still share: the
# histogram of their intensities (the paper's Figure 6). Below, two crops of each of two images, and a matcher that looks at
# histograms and *at nothing else*: where things are, it cannot know.
#
# **Predict:** among 64 images with two crops each, for what share of the crops does it find the partner? And with colour distortion?

# %%
from helpers.widgets.histograms import HistogramExplorer

HistogramExplorer()

# %%
from helpers.metrics import contrastive_rank
from helpers.widgets.histograms import intensity_histograms

for strength in (0.0, 0.25, 0.5, 1.0):
    policy = Policy(
        crop_area=(0.3, 1.0), color_strength=strength, gray_p=0.2 * (strength > 0), blur_p=0
    )
    found = []
    for name in ("shapes", "shapes-textured"):
        images = load(name, "val").images[:640].view(10, 64, 3, 32, 32)  # ten times 64 images
        views = [
            intensity_histograms(Augment(policy)(batch.repeat(2, 1, 1, 1))).sqrt()
            for batch in images
        ]
        found.append(torch.stack([contrastive_rank(each)[0] for each in views]).mean().item())
    print(
        f"s = {strength:<4}  partner found by histogram: shapes {found[0]:.0%}, striped ground {found[1]:.0%}"
    )

# %% [markdown]
# Without distortion, counting intensities is nearly enough to win the game. Gradient descent takes the easy way: a network that can
# win by colour has no reason to look at shapes. This is a **shortcut**.
#
# Does a real network take it? We trained SimCLR on shapes before a *striped* ground, where hues and stripes give every
# image away. A vote of nearest neighbours (**kNN**) and a linear classifier on $h$ (the **linear probe**) then have to name the
# shape. **Predict:** without colour transforms, how many partners does it find, and how often is the shape named right? (Guessing
# is right 10% of the time.)

# %%
from IPython.display import Markdown

from helpers.results import read_results, results_table

Markdown(
    results_table(
        read_results("shortcut"),
        {"condition": "striped ground"},
        {"pairs_found": "pairs found", "knn": "kNN", "probe": "linear probe"},
    )
)

# %% [markdown]
# *(kNN and linear probe: shapes named correctly, among 2,000 test images; 15 epochs each. "Pairs found" is the share of views
# whose most similar other view is their partner, in the last training batch: 128 images, each run under its own policy, guessing
# finds 0.4%. `data/README.md` has the command.)*
#
# It takes the shortcut. Without colour transforms the network finds *every* partner, and tells shapes apart no better than an
# untrained one. With colour transforms it finds only about half of the partners, and names several
# times as many shapes. The run that was better at its own task learned less: **a task solved is not a feature learned.** That is why
# SimCLR needs the extra transformation.

# %% [markdown]
# ## 4. What must stay
#
# A transform removes information. That is its purpose, and its danger: **what the views do not share, the loss gives no reason to
# keep.** Turn a 6 by 180°.

# %%
from helpers.augmentations import rotate

digits = load("digits", "train")
six, nine = (digits.images[digits.labels == label][:4] for label in (6, 9))
turned = rotate(six, torch.full((4,), 2))
picture(
    show_images(
        torch.cat([six, turned, nine]),
        ["6"] * 4 + ["6, turned"] * 4 + ["9"] * 4,
        columns=12,
        inch=0.95,
    ),
    "Four handwritten sixes, the same four turned by 180 degrees, and four nines, which look like the turned sixes.",
)

# %% [markdown]
# SimCLR was trained on handwritten digits, once with random turns by 90°, 180° and 270° among its transforms, and once without.
# Afterwards we showed digits both ways up (2, 3, 4, 5, 6, 7 and 9, which look different then) and let their nearest neighbours say
# which way. We asked twice: neighbours by $z$, where the loss acts, and by $h$, the layer before.
#
# And three more questions. 6 or 9? Some flowers are recognised by their colour: does an encoder that learned to ignore colours
# recognise them less well? And what is left of a shape's hue?
#
# **Predict:** what do the turns cost, in $z$ and in $h$? Three seeds of each were trained beforehand:

# %%
stay = sorted(read_results("what_must_stay"), key=lambda row: row["data"] + row["question"])
Markdown(
    results_table(
        stay,
        {"data": "images", "question": "question", "transforms": "pretrained with"},
        {"knn_z": "kNN by z", "knn": "kNN by h", "probe": "linear probe on h"},
    )
)

# %% [markdown]
# *(Intervals over seeds. "6 or 9" has the same 72 test images each time: all of them right means 95 to 100%. Guessing: 50% for digits, 6%
# for flowers at 32 px, 17% for hues. `data/README.md` has the command.)*
#
# Was your prediction right? We had expected every question to become hard in $z$ and to stay easy in $h$. It is less tidy.
#
# * **$z$ loses what the views do not share, more or less of it.** With colour transforms, hue is nearly gone. With turns, which
#   way up a digit stands is told clearly less often.
# * **$h$ can keep more than the loss asks for.** Which way up a digit stands can still be read from $h$, and 6 or 9 as well: a
#   handwritten 9 is not quite a turned 6, and $h$ has room for the difference. The paper saw the same (Table 3: how an image was
#   turned is read from $h$ in 67.6% of the cases, from $z$ in 25.6%, where guessing gives 25%). This is why the projection head
#   is thrown away.
# * **But not everything.** Of the shapes' hues, which most views lost altogether (seven of ten were grey), even $h$ keeps little,
#   and its neighbours no more than those of $z$. By their neighbours in $h$, flowers are recognised a few points less well. By those in
#   $z$, and by a linear probe, three seeds cannot tell.
#
# So a harmful transform need not destroy a label. It makes it *harder to read*: for the turns mostly in $z$, for hue in $h$ too.

# %% [markdown]
# ## Five questions

# %%
from helpers.widgets.quiz import Quiz

Quiz("02")

# %% [markdown]
# ## Train it yourself
#
# `TRAIN = True` trains both encoders of the digits, half a minute each, and asks which way up. It stands at the end since the kernel
# is busy meanwhile, and the explorers above wait. These runs are shorter than those of the table: expect the turns to cost less, in
# $h$ perhaps nothing.

# %%
from helpers.evaluation import knn_accuracy
from helpers.simclr import pretrain, settings_for

TRAIN = False

ways = []
for part in (load("digits", "train"), load("digits", "test")):
    images = part.images[torch.isin(part.labels, torch.tensor([2, 3, 4, 5, 6, 7, 9]))]
    both = torch.cat([images, rotate(images, torch.full((len(images),), 2))])
    ways.append((both, torch.arange(2).repeat_interleave(len(images))))
for rotate_p in (0.0, 0.75) if TRAIN else ():
    settings = settings_for(
        "laptop", "digits", epochs=12.0, flip_p=0.0, crop_min=0.5, rotate_p=rotate_p
    )
    net = pretrain(digits, settings)
    h = [extract_features(net.encoder, images) for images, _ in ways]
    with torch.inference_mode():
        z = [net.head(features) for features in h]
    of_h, of_z = (knn_accuracy(train, ways[0][1], test, ways[1][1]) for train, test in (h, z))
    print(
        f"turned with probability {rotate_p}: which way up? {of_h:.1%} by h, {of_z:.1%} by z (guessing 50%)"
    )

# %% [markdown]
# ## What you have learned
#
# * A view is a draw from a policy: crop, flip, colours, blur. Two draws of one image are a *positive pair*: they belong together.
# * The policy decides what the encoder may become blind to: the loss gives no reason to keep what views do not share.
# * Crops share their colours. Without colour distortion a network can match views by colour alone: pairs found, hardly any shape
#   learned.
# * Before you copy a policy, ask what your task needs to know.
#
# Next: how do similarities become a loss? Notebook 03.
