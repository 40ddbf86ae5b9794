# %% [markdown]
# # 07 · Your images
#
# **The whole way, on your own photos.**
#
# A folder of photos from your phone, your lab or your holidays: you will decide what two views of such a photo may differ in, continue
# pretraining on them, search by image, label a few by clicking, find out which transfer option pays, and take encoder and report
# home.
#
# *4 minutes on two CPU cores, with 500 photos or the samples. You should have seen notebooks 02, 04 and 05. No internet connection is
# needed, and on your own machine no photo leaves it. (In Colab they lie on Google's.)*

# %% [markdown]
# ## 1. Load and look
#
# Write the path of a folder or zip into `PHOTOS`. Folders inside it that are named after classes give labels; plain images are fine,
# too. In Colab, upload a zip with the folder sign at the left, or connect Google Drive. As long as it says `None`, the course's
# samples are used: tiles of two photos, and some shapes.
#
# What you make here, labels, encoder and report, is kept in `PLACE`. In Colab connect your Drive first and name a folder in it; then only
# the training has to be run again when a session is lost.

# %%
from pathlib import Path

from helpers.own_images import open_images
from helpers.runtime import hardware, seed_everything

PHOTOS = None  # or r"D:\pictures\birds", or "birds.zip"
PLACE = Path("runs/your_images")  # in Colab: Path("/content/drive/MyDrive/your_images")

seed_everything(0)
own = open_images(PHOTOS)
place = PLACE / own.name
print(f"{len(own)} images in {own.name}; classes by folder: {', '.join(own.classes) or 'none'}")
for note in own.notes:
    print("-", note)

# %%
import torch

from helpers.plotting import show_images
from helpers.widgets.picture import picture

some = torch.randperm(len(own))[:24]
picture(
    show_images(own.large[some], columns=8),
    f"{len(some)} images of the folder {own.name}, as they were read.",
)

# %% [markdown]
# Each image was turned upright, cut to the square in its middle, and made small. Is what matters still in the picture? If it was
# near the edge, crop your photos first. The network sees even less: 32 × 32 pixels.

# %% [markdown]
# ## 2. What may two views differ in?
#
# This is the decision that only you can make (notebook 02): **whatever a view may change, the encoder need not keep.** Flowers need
# their colour, satellite images have no up, and a letter must not be mirrored.
#
# Move the sliders as far as you can while you would still say of each pair: the same thing. The next part takes them as they stand.

# %%
from helpers.simclr import load_pretrained
from helpers.widgets.policy import PolicyExplorer

start = load_pretrained("cifar10-tiny")
policy = PolicyExplorer(own, start.settings)
policy

# %% [markdown]
# ## 3. Go on learning, on your images
#
# A few hundred photos are too few to start from nothing. So we start from the encoder that has learned from 45,000 photos of CIFAR-10,
# and let it go on with yours, without a label. Each image must be told apart from the others in its batch: the more you have, the
# better.

# %%
from helpers.own_images import go_on_settings

seconds = 90
# fast: seconds = 1
settings = go_on_settings(start.settings, len(own), seconds, **policy.changes())
print(f"{settings.epochs:g} epochs, batches of {settings.batch_size}")

# %%
from helpers.data import ImageSet
from helpers.simclr import pretrain
from helpers.widgets.monitor import TrainingMonitor

unlabelled = ImageSet(own.name, own.at(settings.image_size))
found = pretrain(unlabelled, settings, start=start, monitor=TrainingMonitor(settings, len(own)))
found.save(place / "encoder.safetensors")
print(f"{found.summary()}; kept in {place / 'encoder.safetensors'}")

# %% [markdown]
# ## 4. Look at neighbours, search by image
#
# Which images does the encoder find alike? Compare raw pixels, the encoder before, and after it has seen your images. Or upload a photo that is not in
# the folder: a search by image.

# %%
from helpers.widgets.search import SearchExplorer

search = SearchExplorer(
    own,
    {"the encoder before": start.encoder, "the encoder after": found.encoder},
    settings.image_size,
)
search

# %% [markdown]
# ## 5. Label a few
#
# Write your classes, choose one, and click below its images; five each suffice to begin with. Labels from folder names are there
# already; a click overrides them. Labels are kept in a file, and are there when you come back. You can rename a class, add one, or
# drop one: the board says what becomes of its labels, asks where it cannot know, and takes back any change.

# %%
from helpers.widgets.labels import LabelBoard

board = LabelBoard(own, place / "labels.json")
board

# %% [markdown]
# ## 6. Which option pays?
#
# Now the options of notebook 05, on what you labelled. Of each class, at most five images are trained on and five choose the settings.
# The rest, two fifths or more, are tested on. This is done three times, each time with a fresh deal. The last line is the encoder as
# it was before it saw your photos: was the training worth its time?

# %%
from helpers.own_images import TooFew, compare_few

labelled = own.labelled(board.labels(), board.classes, settings.image_size)
how = {"seeds": 3, "steps": 100}
# fast: how = {"seeds": 1, "steps": 10}
try:
    rows, problem = compare_few(found.encoder, labelled, **how), ""
    before = compare_few(start.encoder, labelled, options=("3",), **how)
except TooFew as error:
    rows, before, problem = [], [], f"{error}. Label some above, then run this cell again."

# %%
from IPython.display import Markdown

from helpers.own_images import few_table
from helpers.transfer import OPTIONS
from helpers.widgets.options import recommend

named = [row | {"option": OPTIONS[row["option"]]} for row in rows]
named += [row | {"option": "embed, classify: the encoder before"} for row in before]
table = problem or few_table(named)
take, alike = recommend(rows) if rows else ("", [])
others = ", ".join(OPTIONS[option] for option in alike if option != take) or "none"
advice = f"Take: {OPTIONS[take]}. Not clearly worse: {others}." if rows else ""
Markdown(f"{table}\n\n{advice}")

# %% [markdown]
# The advice is that of notebook 05, part 10: pairs of options, deal by deal. How far can you trust it?
#
# * With a handful of test images an accuracy is a rough guess: 16 right of 20 say 80%, where 58% or 92% may be true. Label more before you
#   believe a difference.
# * Was the training worth its time? Compare the last two lines; where their intervals overlap, you cannot tell.
# * The interval in brackets says how sure so many test images can make you. It does not cover other photos or another training run.
# * If the same flower was photographed ten times, some of those photos learn and others test: then every option looks better than it is.
# * The encoder has seen the test photos, too, without labels. On new ones it may do worse.

# %% [markdown]
# ## 7. Take it home
#
# The encoder is kept in `encoder.safetensors`, which `load_pretrained` opens again. The report is one HTML page, for any browser. It
# shows some of your photos, their names and what machine this is: look at it before you send it to someone.

# %%
from helpers.plotting import draw_training_curves
from helpers.report import Picture, write_report
from helpers.results import markdown_table

steps = found.history[-1]["step"] if found.history else 1
curves = draw_training_curves(found.history, settings.chance_loss, settings.floor_loss, steps)
path = write_report(
    place / "report.html",
    f"SimCLR on {own.name}",
    {
        "Images": [f"{len(own)} images.", *own.notes, board.text],
        "Views": [policy.text, Picture(policy.static(), policy.text)],
        "Curves": [Picture(curves, "Loss and other curves of the continued pretraining.")],
        "Neighbours": [Picture(search.static(), search.text)],
        "Transfer options": [table, advice],
        "Settings": [markdown_table(("setting", "value"), vars(settings).items())],
        "Made with": [hardware()],
    },
)
print(f"open {path} in a browser")

# %% [markdown]
# ## What you have done
#
# * You decided what does not matter in your images, and the encoder learned to look past it.
# * You labelled a few, and let validation choose.
# * You know how sure the result is, and how to make it surer: more labels, not more tries.
#
# A next step, with some thousands of photos and a GPU: `python -m helpers train --data PATH --preset colab`.
