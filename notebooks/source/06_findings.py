# %% [markdown]
# # 06 · Findings
#
# **Are the paper's findings true here?**
#
# Three findings carry SimCLR: which transforms are composed, a projection head that is thrown away, and large batches with long
# training. The paper measured them on ImageNet, with up to 128 TPU cores. You will bet on each, see what came out on small pictures
# and two CPU cores, set it beside the paper's figure, and add a point of your own, trained while you wait.
#
# *5 minutes on two CPU cores. You should have seen notebooks 02 to 04. No internet connection is needed.*

# %% [markdown]
# ## 1. How to check a finding
#
# Nobody can repeat the paper on a laptop. But a finding such as "stronger colour distortion helps" says more than a
# number: it claims that one thing is better than another. That can be tried at any size.
#
# | | the paper | here |
# |---|---|---|
# | images | ImageNet: 1.28 million, 224 pixels | 10,000 photos of CIFAR-10, or 9,900 rendered shapes (4,000 for batches), 32 pixels |
# | encoder | ResNet-50, 24 million parameters | a small residual network, 0.95 million |
# | one run | 100 epochs, batch 4,096 | 1 to 8 epochs, batch 32 to 256 |
# | each cell | one run, where it says so | a run for each seed: the next table counts them |
#
# The tables ship with the course: every row is a run, with all its settings. Every study is a grid of such runs.

# %%
from IPython.display import Markdown

from helpers.findings.studies import STUDIES
from helpers.results import markdown_table, read_results

tables = {name: read_results(f"findings_{name}") for name in STUDIES}
lines = []
for name, rows in tables.items():
    seeds = {row["seed"] for row in rows}
    minutes = {row["data"] + row["settings"] + row.get("L2", ""): row["minutes"] for row in rows}
    total = sum(float(value) for value in minutes.values())
    lines.append([name, len(seeds), len(minutes), f"{total:.0f}"])
Markdown(markdown_table(("study", "seeds", "runs", "minutes of one core"), lines))

# %% [markdown]
# **Does it hold here?** Whoever looks at the numbers first will find a rule by which they fit. So the rules stood before the runs
# were made (`helpers/findings/claims.py`). Every finding is put as a difference. Ours is taken seed by seed, and two statements are made.
#
# The **direction** is decided by the 95% interval over the seeds:
#
# * it lies on the paper's side of 0: the **same** direction;
# * it lies on the other side: **opposite**;
# * it contains 0: we **cannot tell**. With three seeds an interval is wide, so this comes often. (One seed has no interval, and
#   decides nothing.)
#
# The **size** is another matter: the paper's figure lies *inside* our interval, or *outside*. Expect it outside: their network and
# their training are far larger.
#
# Where the paper says that something *hardly matters*, the direction is the same if the whole interval lies within 2 points of 0,
# and opposite if it lies outside.
#
# The order of a whole grid is compared by its **rank correlation** with the paper's: 1 if our cells come in the same order, 0 if they
# have nothing to do with each other. It has to lie above what random orders reach by luck. The order of four cells could never do
# that, so no such order is among the claims. Three things came after a look at the first runs, and belong in the open: this last
# rule, the split into direction and size, and shorter runs in three of the studies, for their cost.
#
# ### Exercise 1 · Say who is right
#
# Write the rule for a difference that the paper found to be above 0. `t` is the factor of Student's distribution for so many values (4.3 for three): the half width of
# the interval is `t` times the standard error of the mean (standard deviation, with n − 1, over the root of n). Stuck? `hint("verdict")` in a cell of your own helps a step further.


# %%
import torch


def verdict(differences: list[float], t: float) -> str:
    """Return "same", "opposite" or "cannot tell" by the 95% interval of the mean of these differences."""
    ### BEGIN SOLUTION
    # The standard error of a mean: the standard deviation (with n - 1) over the root of n.
    values = torch.tensor(differences)
    mean, width = values.mean(), t * values.std() / len(values) ** 0.5
    if mean - width > 0:
        return "same"
    return "opposite" if mean + width < 0 else "cannot tell"
    ### END SOLUTION


# %%
from helpers.checks import check, hint

check("verdict", verdict)

# %% [markdown]
# ## 2. Finding 1: which transforms, together
#
# In the paper's Figure 5, both views are the same crop. One view stays as it is; the other goes through one transform, or two in a
# row. Then a linear probe tells what such an encoder has learned. There are seven transforms, so 49 cells.

# %%
from helpers.widgets.prediction import Prediction

bet = Prediction(
    "best pair",
    "Which two transforms, one after the other, teach the most about photos?",
    ("crop and colour", "crop and cutout", "colour and Sobel", "rotate and noise"),
)
bet

# %% [markdown]
# Choose a pair: the map shows the accuracy of each, beside it the two views as the network gets them, and (where it learned from shapes)
# the nearest neighbours of the image. The darker a cell, the higher its accuracy; hatched cells lie below an encoder that was never
# trained. Which row is the darkest, which column? Does the order of the two matter? Is the best pair on shapes the best one on photos?
# Can pretraining do harm?

# %%
from helpers.widgets.composition import CompositionExplorer

CompositionExplorer()

# %% [markdown]
# ### Exercise 2 · Read off the best pair
#
# Each pair was trained in both orders. Write the search: the two *different* transforms with the highest mean over both orders.


# %%
def best_pair(table: torch.Tensor, names: list[str]) -> tuple[str, str]:
    """Return the two different names whose cells of table (n, n), first x second, have the highest mean over both orders."""
    ### BEGIN SOLUTION
    # The mean over both orders makes the table symmetric; the diagonal, one transform alone, is no pair.
    both = ((table + table.T) / 2).fill_diagonal_(-torch.inf)
    row, column = divmod(int(both.argmax()), len(names))
    return names[row], names[column]
    ### END SOLUTION


# %%
check("best_pair", best_pair)

# %% [markdown]
# Now on the real tables:

# %%
from helpers.findings.claims import mean_of
from helpers.settings import TRANSFORMS

for data in ("photos", "shapes"):
    rows = [row for row in tables["composition"] if row["data"] == data]
    means = [
        [
            sum(of.values()) / len(of)
            for second in TRANSFORMS
            for of in [mean_of(rows, first=first, second=second)]
        ]
        for first in TRANSFORMS
    ]
    print(f"{data}: the best pair is {best_pair(torch.tensor(means), list(TRANSFORMS))}")

# %%
from helpers.findings.claims import judge
from helpers.findings.verdicts import claims_table

print(bet.reveal("crop and colour"))
Markdown(claims_table(judge("composition", tables["composition"])))

# %% [markdown]
# The paper concludes that no single transform is enough, and that crop with colour distortion is the best pair.
#
# **The same direction:** on photos, all of it. Crop with colour is the best pair, ahead of either alone and of every other pair, and
# <!-- fact: test_the_best_pairs_are_those_that_the_text_names -->
# pairs with colour or with a crop are ahead of those without. The 49 cells come in much the same order. The sizes are other ones: every
# <!-- claim: crop-color-beats-either,crop-color-beats-pairs,color-beats-without,crop-beats-without,composition-order photos direction=same -->
# difference is a fraction of the paper's. On shapes, pairs with colour are far ahead, too.
# <!-- claim: color-beats-without shapes direction=same -->
# <!-- fact: test_what_the_text_says_of_sizes_and_of_knn_is_in_the_tables -->
#
# **Opposite:** on shapes a crop is a burden. Crop with colour is behind colour alone, and the best pair is Sobel with colour. And most
# <!-- claim: crop-beats-without,crop-color-beats-either shapes direction=opposite -->
# <!-- fact: test_the_best_pairs_are_those_that_the_text_names -->
# pairs are no better than the best transform alone: on shapes, Sobel alone is hardly behind the best pair.
# <!-- fact: test_most_pairs_are_no_better_than_the_best_transform_alone -->
#
# **Pretraining can do harm.** On shapes, nearly half of the cells lie below an untrained encoder. On photos none does, but many are
# <!-- fact: test_what_the_text_says_of_untrained_encoders_is_in_the_tables -->
# hardly above it.
#
# Why? A shape is told by its outline. Sobel keeps the outline, and takes away the colours of shape and ground, by which the two views
# would find each other. A crop of a crop cuts off tips and corners.
#
# So the finding is not "crop and colour". It is: **hide what would give the pair away, keep what the task needs.** What that is
# depends on the images.

# %% [markdown]
# **A point of your own.** `rerun` trains one cell of a study on shapes, with a seed that the table does not hold. The star
# is your run; the bars are 95% intervals over the table's seeds (one seed has none). While such a cell trains, the kernel is busy: the
# map above follows again when the bar is full.

# %%
from helpers.findings.panels import panels
from helpers.findings.run import rerun
from helpers.plotting import draw_curves
from helpers.widgets.picture import picture

# fast: import functools; rerun = functools.partial(rerun, images=256)
mine = rerun("composition", seed=3, first="crop", second="color")
star = {"shapes, here": ("colour", 100 * mine["probe"])}
picture(
    draw_curves(*panels("composition", tables["composition"]), star, inch=8),
    "Two curves over the second transform, one for crop first and one for colour first; a star marks the new run.",
)

# %% [markdown]
# ### How strong must the colour be?
#
# Table 1 of the paper turns one knob: the strength $s$ of the colour jitter, and at the end blur on top. And it asks something that
# only a comparison can tell: do the same views help when the network is trained **with** labels?

# %%
strong = Prediction(
    "strength",
    "Stronger colour jitter helps SimCLR on ImageNet. What does it do to supervised training there?",
    ("helps as much", "helps less", "hurts"),
)
strong

# %%
mine = rerun("color", seed=3, objective="contrastive", strength="1/2")
print(strong.reveal("hurts (on ImageNet: from 77.0% down to 75.7%)"))
picture(
    draw_curves(*panels("color", tables["color"]), {"shapes, here": ("1/2", 100 * mine["probe"])}),
    "Accuracy over colour strength in three panels, photos and shapes here and ImageNet in the paper: SimCLR and supervised.",
)

# %%
Markdown(claims_table(judge("color", tables["color"])))

# %% [markdown]
# **The same direction:** the two trainings want different views. Stronger colour jitter costs supervised training accuracy, and SimCLR
# loses less than supervised training does, on photos and on shapes. **We cannot tell** whether SimCLR itself gains from 1/8 to 1, or
# <!-- claim: strength-supervised,strength-against-supervised photos,shapes direction=same -->
# from blur. Its curve rises up to 1/2, then falls.
# <!-- claim: strength-simclr,blur-on-top photos,shapes direction=cannot-tell -->
# <!-- fact: test_the_curves_peak_where_the_text_says -->
#
# Why? A guess: a strong jitter asks more of the network, and our runs end before it has paid. For photos, the recipe around it was
# chosen with 1/2, too. And blur may take away what little there is to see in 32 pixels.

# %% [markdown]
# ## 3. Finding 2: a head that is thrown away
#
# The loss is taken at $z = g(h)$, and then $g$ is thrown away. Figure 8 of the paper compares no head at all ($z = h$), a linear one and
# a nonlinear one; the probe reads $h$. Its text says: nonlinear beats linear by 3 points and none by more than 10; $h$ is more than 10
# points better than $z$; how long $z$ is hardly matters. (The figure shows a $z$ of 128 numbers, the table the mean over 32, 128 and 512.)

# %%
thrown = Prediction(
    "head",
    "With a nonlinear head, here on photos: how much better does the probe do on h than on z?",
    ("not at all", "by up to 5 points", "by more than 5 points"),
)
thrown

# %%
mine = rerun("head", seed=3, head="nonlinear", length_of_z="128")
judged = judge("head", tables["head"])
gap = next(one for one in judged if one.claim.id == "head-h-beats-z" and one.data == "photos")
print(thrown.reveal(f"{gap.figure} points"))
picture(
    draw_curves(
        *panels("head", tables["head"]),
        {"shapes, here": ("nonlinear", 100 * mine["probe"])},
        inch=5,
    ),
    "Accuracy on h and on z for no head, a linear and a nonlinear one, on photos and on shapes; z is never ahead.",
)

# %%
Markdown(claims_table(judged))

# %% [markdown]
# **The same direction:** with a nonlinear head, the probe does better on $h$ than on $z$, on photos and on shapes; on photos by far fewer
# <!-- claim: head-h-beats-z photos,shapes direction=same knn=cannot-tell -->
# points than the paper's 10. And on photos the length of $z$ hardly matters.
# <!-- claim: head-length photos direction=same -->
# <!-- fact: test_what_the_text_says_of_sizes_and_of_knn_is_in_the_tables -->
#
# **But look at the daggers.** By kNN, $h$ is not ahead of $z$ at all. What $h$ holds more of can be read by a linear layer, and does not
# <!-- fact: test_what_the_text_says_of_sizes_and_of_knn_is_in_the_tables -->
# bring images of one class closer together. Which yardstick you take decides what you find.
#
# **We cannot tell** a nonlinear head from a linear one, neither on photos nor on shapes. **Opposite:** on shapes it is clearly worse than
# <!-- claim: head-nonlinear-beats-linear photos,shapes direction=cannot-tell -->
# none, and there a $z$ of 32 numbers is clearly too short.
# <!-- claim: head-nonlinear-beats-none shapes direction=opposite -->
# <!-- claim: head-length shapes direction=opposite -->
#
# Why? A guess: a head pays once the loss has begun to blind the layer at which it is taken. After a few epochs that has hardly begun,
# and a head is one more thing to train. There is a catch in "none", too: there $z$ is $h$, and longer than any $z$ of 128.

# %% [markdown]
# ### What is lost between h and z?
#
# The paper's Table 3: a small network is asked what was *done* to an image, and may read only $h$, or only $z$. (Colour or grey? Turned by
# which quarter? With noise, which the paper calls *corrupted*, or without? Through a Sobel filter or not?) The head may drop such
# things, since the loss asks for what two views have in common. (Of colour or grey, guessing brings 80% there, where one image in five
# is grey, and 50% here, where every second one is.)

# %%
from helpers.findings.paper import TABLE_3
from helpers.results import results_table

found: dict[tuple, dict] = {}
for row in tables["knowledge"]:
    about = {
        "question": row["question"],
        "data": row["data"],
        "guess": f"{float(row['chance']):.0%}",
        "paper": " / ".join(f"{value:g}" for value in TABLE_3.get(row["question"], ())),
    }
    found.setdefault((row["question"], row["data"], row["seed"]), about)[row["read from"]] = row[
        "accuracy"
    ]
asked = [row for row in found.values() if row["paper"]]
Markdown(
    results_table(
        asked,
        {"question": "question", "data": "learned from", "guess": "guess"},
        {"pixels": "pixels", "h": "h", "z": "z"},
    )
    + "\n\nThe paper (guess / h / z): "
    + "; ".join(
        f"{question} {' / '.join(f'{value:g}' for value in values)}"
        for question, values in TABLE_3.items()
    )
)

# %% [markdown]
# **The same direction:** $h$ knows more than $z$ about each of the four questions, on photos and on shapes: what was done to an image
# <!-- fact: test_what_the_text_says_of_h_and_z_is_in_the_table -->
# is no help in finding its partner, and the head drops it.
#
# **Another size:** the head does not drop it down to guessing, as the paper's does with turns; here, on photos, much of it is left.
# And look at the pixels: whether a shape is grey, a small network tells better from them than from $h$.
# <!-- fact: test_what_the_text_says_of_h_and_z_is_in_the_table -->
#
# Of a rendered shape we know everything it was made from. So here we can ask for it: in which quarter of its range is the hue, the
# angle, the size, the horizontal position, the background hue? (Guessing gives 25%; of the ten classes, 10%.)

# %%
from helpers.findings.panels import TITLES

factors = [
    row | {"question": TITLES.get(row["question"], row["question"])}
    for row in found.values()
    if not row["paper"] and row["data"] == "shapes"
]
Markdown(
    results_table(
        factors, {"question": "factor", "guess": "guess"}, {"pixels": "pixels", "h": "h", "z": "z"}
    )
)

# %% [markdown]
# The two hues are read best from the pixels, worse from $h$, worst from $z$: the views change colours, so nothing asks for them. Angle and size
# are read better from $h$ than from the pixels: the outline is what the encoder looks at. And every factor is read worse from $z$ than
# from $h$ in the mean (for angle and size, three seeds cannot tell). That is what the head is thrown away for.

# %% [markdown]
# ## 4. Finding 3: large batches, long training
#
# A larger batch holds more negatives; a longer training shows more of them over time. In the paper (Figure 9, Table B.1) the large
# batch is far ahead while training is short, and a third of the lead is left when it is long. The learning rate has to follow the batch: in
# proportion to it (**linear** scaling) or to its **root**.
#
# One thing to keep in mind: in the same number of epochs, a batch twice as large takes half as many steps.

# %%
large = Prediction(
    "batch",
    "Eight times the batch (256 in place of 32), one epoch over 10,000 photos in both cases: what does the probe say?",
    ("clearly better", "no clear difference", "clearly worse"),
)
large

# %%
mine = rerun(
    "batch_epochs", seed=3, objective="contrastive", scaling="linear", batch="128", epochs="8"
)
picture(
    draw_curves(
        *panels("batch_epochs", tables["batch_epochs"]),
        {"shapes, here": ("128", 100 * mine["probe"])},
    ),
    "Accuracy over batch size, a curve for each length of training, in six panels: photos here with linear and root scaling "
    "and supervised, shapes here, and the paper's with both scalings.",
)

# %%
judged = judge("batch_epochs", tables["batch_epochs"])
lead = next(
    one for one in judged if one.claim.id == "batch-largest-beats-smallest" and one.data == "photos"
)
print(large.reveal(f"{lead.figure} points in the shortest training: {lead.direction}"))
Markdown(claims_table(judged))

# %% [markdown]
# **The same direction:** longer training helps the largest batch, on photos and on shapes. On photos the order of the sixteen cells is
# <!-- claim: longest-beats-shortest photos,shapes direction=same size=outside -->
# the paper's, with both scalings. (It is mostly an order of lengths: with linear scaling, eight epochs are ahead of one at every batch size.)
# <!-- claim: batch-order-linear,batch-order-root photos direction=same -->
# <!-- fact: test_what_the_text_says_of_batch_and_length_is_in_the_table -->
# And on photos a larger batch costs SimCLR less than supervised training. That task has no negatives, so what the batch costs
# <!-- claim: batch-against-supervised photos direction=same -->
# <!-- fact: test_what_the_text_says_of_batch_and_length_is_in_the_table -->
# there is steps; that SimCLR pays less may be what more negatives give back.
#
# **Opposite, or no lead:** with linear scaling, the largest batch is nowhere ahead. On shapes it is clearly behind in the shortest training:
# <!-- claim: batch-largest-beats-smallest shapes direction=opposite -->
# <!-- fact: test_what_the_text_says_of_batch_and_length_is_in_the_table -->
# 4,000 images in batches of 256 are 15 steps an epoch. On photos SimCLR gains *less* from longer training than supervised training
# does. A guess at why: our longest training is far shorter than the paper's shortest, and there a network that is told the classes still
# <!-- claim: length-against-supervised photos direction=opposite -->
# has the most to gain. And root scaling, which gives a small batch the higher rate, is a little worse than linear scaling for batch 32 in
# one epoch. For the paper's smallest batch it was much better.
# <!-- claim: root-beats-linear photos direction=opposite -->
#
# **We cannot tell** whether on photos the largest batch beats the smallest in the shortest training; on either, whether that lead
# <!-- claim: batch-largest-beats-smallest photos direction=cannot-tell -->
# changes with longer training; and on shapes the order of the cells.
# <!-- claim: batch-lead-shrinks photos,shapes direction=cannot-tell -->
# <!-- claim: batch-order-linear shapes direction=cannot-tell -->
#
# Keep the sizes in mind: the paper's smallest batch is our largest. (Its figures in the table are those of 256 to 2,048, the same
# steps of two as ours.)

# %% [markdown]
# ## 5. Temperature: is the task solved best the feature learned best?
#
# Table 5 of the paper measures two things at each temperature: how often the loss's own question is answered (**pairs found**), and what
# the probe makes of $h$. One would think that they rise together.

# %%
hot = Prediction(
    "temperature",
    "At which temperature does the probe on h do best, on photos?",
    ("0.05", "0.1 or 0.2", "0.5 or 1"),
)
hot

# %%
mine = rerun("temperature", seed=3, L2="yes", temperature="0.5")
drawn = panels("temperature", tables["temperature"])
best = max(drawn[0]["photos, here"]["probe on h"], key=lambda point: point[1])
print(hot.reveal(f"τ {best[0]}, {best[1]:.1f}%"))
picture(
    draw_curves(*drawn, {"shapes, here": ("0.5", 100 * mine["probe"])}),
    "Pairs found and probe accuracy over the temperature, on photos and shapes here and on ImageNet in the paper.",
)

# %%
Markdown(claims_table(judge("temperature", tables["temperature"])))

# %% [markdown]
# **The same direction:** τ 0.1 is better than τ 1, on photos and on shapes; in the mean the probe does best at τ 0.1, as in the paper. **We
# <!-- claim: tau-0.1-beats-1 photos,shapes direction=same -->
# <!-- fact: test_the_curves_peak_where_the_text_says -->
# cannot tell** that 0.1 is better than 0.05, or that normalising $z$ helps the probe.
# <!-- claim: tau-0.1-beats-0.05,l2-beats-none photos,shapes direction=cannot-tell -->
#
# **Opposite:** on photos fewer pairs are found without L2, not more, and in the mean the most are found at τ 0.1, too, where the
# <!-- claim: more-pairs-without-l2 photos direction=opposite -->
# <!-- fact: test_the_curves_peak_where_the_text_says -->
# probe is best. In the paper, the temperature that finds the most pairs is not the one with the best features. Our runs do not show
# that.

# %% [markdown]
# ## 6. What our runs cannot tell you
#
# How many claims came out how? (Two of them are measured in notebook 05: what few labels are worth, and how far a linear layer
# gets.)

# %%
from helpers.findings.verdicts import headlines_table, judge_all, tally_table

everything = judge_all()
Markdown(tally_table(everything))

# %% [markdown]
# And the ones that one would quote, chosen by a rule:

# %%
Markdown(headlines_table(everything))

# %% [markdown]
# A table of numbers looks like a fact about a method. Each of these depends on more than its title says:
#
# * **The recipe around the knob.** Every study turns one knob and leaves the rest as it is. That rest was chosen with the knob in
#   one place: for photos τ 0.1, strength 1/2, a nonlinear head, batches of 128. That setting has the home advantage, here as in any
#   such table.
# * **The length.** Our runs take a few hundred steps, 2,500 at most, the paper's tens of thousands. What needs long training to show cannot show here.
# * **The images.** At 32 pixels a blur leaves little, and half a crop is 16 pixels wide. A shape is told by its outline, so what
#   lays bare the outline is worth more there than on any photo. The photos were re-compressed as JPEG.
# * **The yardstick.** A linear probe with all labels of the 10,000 images is not kNN, and neither is your task. See the daggers.
# * **The seeds.** ± covers other starting weights, orders and views. It does not cover other training images, other test images,
#   or another recipe.
# * **How many claims there are.** One 95% interval in twenty misses the truth. That is a rate over all the intervals of the tally. Among
#   those that were called *same* or *opposite*, the share that is luck can be higher.

# %% [markdown]
# ## Five questions

# %%
from helpers.widgets.quiz import Quiz

Quiz("06")

# %% [markdown]
# ## What you have learned
#
# * A finding on ImageNet can be tried on a laptop, if it is put as a difference and the rule stands before the runs.
# * Some of it holds here: on photos crop with colour is the best pair, stronger colour costs supervised training more than SimCLR, a linear
#   probe reads more from $h$ than from $z$, and longer training pays.
# * Some of it does not: which pair of transforms is best depends on the images, a nonlinear head has yet to pay, and a
#   large batch has no clear lead.
# * The direction is one statement, the size another. Here the size is hardly ever the paper's.
# <!-- fact: test_what_the_text_says_of_sizes_and_of_knn_is_in_the_tables -->
# * "Cannot tell" means just that. More seeds would tell, or another scale.
#
# ## Further
#
# Every study runs from a terminal, on photos of your own too, and goes on where it was stopped:
# `python -m helpers findings head --photos PATH --seeds 5 --workers 2`. Notebook 07 takes all of this to your own images.
