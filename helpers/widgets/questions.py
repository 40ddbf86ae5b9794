"""The quiz questions of the notebooks: five each, on what its text just taught, with a reply to
every answer.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question, its answers with what is replied to each, and which of them is right (its place
    from 0).

    They are shown in the order of the alphabet, so that no habit of the author's gives the right
    one away.
    """

    text: str
    answers: tuple[tuple[str, str], ...]
    right: int

    def shown(self) -> list[tuple[str, str]]:
        """Return the answers and replies, these with a sign of right or wrong, in the order in
        which they are shown.
        """
        return sorted(
            (answer, f"{'✓' if place == self.right else '✗'} {reply}")
            for place, (answer, reply) in enumerate(self.answers)
        )


QUESTIONS: dict[str, tuple[Question, ...]] = {
    "01": (
        Question(
            "What is a pretext task for?",
            (
                (
                    "Its answers are what we want in the end.",
                    "Nobody needs to know how a picture was turned. What is left when the answers "
                    "are thrown away?",
                ),
                (
                    "To train an encoder without labels.",
                    "Yes: the encoder is kept, the answers are thrown away.",
                ),
                (
                    "To make labels for the images, so that they can be sold.",
                    "Its answers come from the image itself and say nothing that anyone pays for.",
                ),
            ),
            1,
        ),
        Question(
            "Why is the painting of a masked region blurred?",
            (
                (
                    "The network is too small to draw sharp edges.",
                    "A larger one blurs as well. What has the smallest squared error when several "
                    "pictures are possible?",
                ),
                (
                    "The mean of all possible pictures has the smallest squared error.",
                    "Yes: where it cannot know, it hedges.",
                ),
                (
                    "It was trained on blurred photos.",
                    "The photos were small, not blurred. Think of the loss.",
                ),
            ),
            1,
        ),
        Question(
            "On our shapes, rotation could not be told apart from SimCLR; on photos it was "
            "behind. What does that show?",
            (
                (
                    "Rotation is the better task for small networks.",
                    "It was the same small network on photos. What differs between the data sets?",
                ),
                (
                    "A task teaches what its answer depends on, and that differs from data set to "
                    "data set.",
                    "Yes. On our shapes, the turn can be told from the outline only, and the "
                    "outline is what is asked for afterwards.",
                ),
                (
                    "Photos need more epochs.",
                    "Both had the same budget, and SimCLR did well with it on photos.",
                ),
            ),
            1,
        ),
        Question(
            "What happens to a contrastive loss without the push between different images?",
            (
                (
                    "It takes longer to learn.",
                    "It is quicker: a perfect score is easy. Where would all points end up?",
                ),
                (
                    "Pairs drift apart.",
                    "Nothing drives pairs apart. What is the easiest way to bring all pairs "
                    "together?",
                ),
                (
                    "All images may fall into one point.",
                    "Yes: collapse. A perfect score, and nothing learned.",
                ),
            ),
            2,
        ),
        Question(
            "Alignment got worse in training, and yet the encoder got better. How can that be?",
            (
                (
                    "Alignment was measured on other images.",
                    "It was measured on the same held-out images, before and after.",
                ),
                (
                    "Before training all points lay together, and so did the pairs.",
                    "Yes: only alignment and uniformity together tell.",
                ),
                (
                    "Good encoders put views of one image far apart.",
                    "They put them nearer to each other than to the rest. What did the rest do "
                    "before training?",
                ),
            ),
            1,
        ),
    ),
    "02": (
        Question(
            "What does a policy decide?",
            (
                (
                    "How strong each transform of this image is.",
                    "That is drawn anew for every view. What is drawn from?",
                ),
                (
                    "From what every view's amounts are drawn.",
                    "Yes: ranges and probabilities. Two draws make a pair.",
                ),
                (
                    "Which images are in the batch.",
                    "That is the shuffle's business. A policy knows nothing of batches.",
                ),
            ),
            1,
        ),
        Question(
            "An encoder learned with strong colour jitter. How will it find a red and a blue "
            "version of one shape?",
            (
                ("Very similar.", "Yes: its policy said that colour does not matter."),
                (
                    "Unrelated.",
                    "That is what raw pixels say. What did training reward the encoder for "
                    "ignoring?",
                ),
                (
                    "It refuses: it has never seen that shape in blue.",
                    "It has seen it in all colours: that is what jitter does.",
                ),
            ),
            0,
        ),
        Question(
            "Without colour transforms the network found every partner, and yet it could not tell "
            "shapes. Why?",
            (
                (
                    "It was trained for too short a time.",
                    "Its own task was solved completely. Longer training would not change what it "
                    "looked at.",
                ),
                (
                    "It found partners by their colours, and that was enough.",
                    "Yes: a shortcut. A task solved is not a feature learned.",
                ),
                (
                    "The shapes were too small.",
                    "With colour transforms it told them apart, at the same size.",
                ),
            ),
            1,
        ),
        Question(
            "You want to tell ripe from unripe tomatoes. Which transform would you doubt first?",
            (
                ("Flip", "A mirrored tomato is as ripe. What do you look at to tell?"),
                (
                    "Crop",
                    "Half a tomato still shows whether it is ripe. What do you look at to tell?",
                ),
                (
                    "Colour jitter",
                    "Yes: it declares that to be unimportant which you want to know.",
                ),
            ),
            2,
        ),
        Question(
            "After training with random turns, which way up a digit stands …",
            (
                (
                    "… can be told from neither h nor z.",
                    "Look at the table again: one of the two still knows a good deal.",
                ),
                (
                    "… can be told from h better than from z.",
                    "Yes: the loss acts on z, and h keeps more than the loss asks for.",
                ),
                (
                    "… can be told from z better than from h.",
                    "z is where the loss acts. Which of the two loses more?",
                ),
            ),
            1,
        ),
    ),
    "03": (
        Question(
            "b gets ten times as long. What happens to its cosine similarity with a?",
            (
                ("It gets ten times as large.", "That is the dot product. By what is it divided?"),
                ("Nothing.", "Yes: both lengths are divided out."),
                ("It comes closer to 1.", "Only a turn can do that. Did b turn?"),
            ),
            1,
        ),
        Question(
            "A batch of 64 images: with how many other views is each view compared?",
            (
                (
                    "63",
                    "That would be one view of each other image. How many views does each image "
                    "give?",
                ),
                ("126", "Those are the negatives. Who else is compared with it?"),
                ("127", "Yes: 2 × 64 − 1, its partner and 126 negatives."),
                ("128", "Is a view compared with itself?"),
            ),
            2,
        ),
        Question(
            "Why is the diagonal masked with −∞ and not with 0?",
            (
                (
                    "A logit of 0 still has a share in the softmax.",
                    "Yes: e⁰ is 1. Only e to −∞ is 0.",
                ),
                ("0 would make the loss negative.", "It would not. What is e to the power of 0?"),
                (
                    "It makes no difference.",
                    "The difference is small, and it is there. What is e to the power of 0?",
                ),
            ),
            0,
        ),
        Question(
            "What does a lower temperature do?",
            (
                (
                    "All negatives push equally.",
                    "That is a high one. What happens to differences that are divided by a small "
                    "number?",
                ),
                (
                    "The hardest negatives do nearly all of the pushing.",
                    "Yes: the softmax becomes sharp.",
                ),
                ("The loss falls to 0 sooner.", "The floor does become lower. But who pushes?"),
            ),
            1,
        ),
        Question(
            "In some batch your loss without the mask is 6.275 instead of 6.261. What does that "
            "tell?",
            (
                (
                    "It is right up to rounding.",
                    "Rounding moves the seventh digit. At τ 0.07 the same mistake doubles the "
                    "loss.",
                ),
                ("Nothing: it depends on the batch.", "Both were computed on the same batch."),
                (
                    "A wrong loss can look nearly right.",
                    "Yes. That is why a loss deserves a test against a slow and obvious version.",
                ),
            ),
            2,
        ),
    ),
    "04": (
        Question(
            "Chance is log(2N − 1). Which loss is that?",
            (
                (
                    "The loss when all projections are equal.",
                    "Yes: every other view is as likely to be the partner.",
                ),
                (
                    "The lowest loss there is.",
                    "That is near the floor, which depends on τ. What would a network say that "
                    "knows nothing?",
                ),
                (
                    "The loss when all negatives are orthogonal.",
                    "That is about the floor. What would a network say that knows nothing?",
                ),
            ),
            0,
        ),
        Question(
            "The spread of z falls to 0. What has happened?",
            (
                (
                    "The learning rate has come to its end.",
                    "Then z would stay where it is. What does it mean that all z are equal?",
                ),
                ("A collapse.", "Yes: every image has the same z."),
                ("The network has converged.", "To something, yes: to one point for all images."),
            ),
            1,
        ),
        Question(
            "Which curve tells a useful feature from a shortcut?",
            (
                (
                    "The loss",
                    "A shortcut lowers the loss as well. Which curve asks about something else "
                    "than the task?",
                ),
                (
                    "Pairs found",
                    "A shortcut finds pairs as well. Which curve asks about something else than "
                    "the task?",
                ),
                (
                    "kNN on held-out images",
                    "Yes: it asks with labels whether neighbours are of one kind.",
                ),
            ),
            2,
        ),
        Question(
            "Whose weights do you use after pretraining?",
            (
                ("f's", "Yes. g was needed by the loss only."),
                ("g's", "g is where information is dropped. What came before it?"),
                ("Both", "z = g(h) keeps less than h. What would you lose?"),
            ),
            0,
        ),
        Question(
            "Why does a larger batch make the task harder?",
            (
                (
                    "The gradient becomes noisier.",
                    "It becomes less noisy. Among how many views must the partner be found?",
                ),
                ("There are more negatives to tell the partner from.", "Yes: 2N − 2 of them."),
                ("Each image gets more views.", "Two each, whatever N is."),
            ),
            1,
        ),
    ),
    "05": (
        Question(
            "Which encoder is frozen?",
            (
                (
                    "One whose parameters have requires_grad = False.",
                    "Its BatchNorm statistics still move in training mode.",
                ),
                (
                    "One that is called within torch.no_grad().",
                    "BatchNorm's statistics move all the same in training mode, and an optimiser "
                    "outside that block may still change the weights.",
                ),
                (
                    "One in eval mode.",
                    "Its weights can still be trained: eval() changes how layers compute, not who "
                    "learns.",
                ),
                (
                    "One in eval mode whose parameters have requires_grad = False.",
                    "Yes: its fingerprint stays.",
                ),
            ),
            3,
        ),
        Question(
            "By which images do you choose among eight classifiers?",
            (
                ("Training images", "There the one that memorises best looks best."),
                ("Validation images", "Yes, and the winner's accuracy there is not reported."),
                ("Test images", "Then the test has chosen, and nobody is left to judge."),
            ),
            1,
        ),
        Question(
            "The best of eight seems 5 points ahead on the images that chose it. How far is it "
            "ahead on new ones?",
            (
                (
                    "5 points",
                    "The maximum of noisy numbers is too high. Which part of the lead was luck?",
                ),
                (
                    "Probably less",
                    "Yes: part of its lead is owed to the very images that chose it.",
                ),
                ("More, since it is the best", "It may be the best and still have been lucky."),
            ),
            1,
        ),
        Question(
            "Standardising features for a probe: whose mean and spread?",
            (
                (
                    "Those of all images, which is most precise",
                    "Test images must not be known yet.",
                ),
                (
                    "Those of the training images, for all parts",
                    "Yes: a new image is treated by what was known before.",
                ),
                (
                    "Each part by its own",
                    "A single new image has no spread. And train and test would be moved "
                    "differently.",
                ),
            ),
            1,
        ),
        Question(
            "Why are the 20 labels per class among the 100 labels per class?",
            (
                (
                    "To save labels.",
                    "It saves some. But what would a curve over labels do if every point had "
                    "other images?",
                ),
                (
                    "So that a curve over labels does not jump by luck.",
                    "Yes: nested subsets differ by what was added only.",
                ),
                (
                    "Otherwise the classes would be uneven.",
                    "That is stratification. What does nesting do for a curve?",
                ),
            ),
            1,
        ),
    ),
    "06": (
        Question(
            "Your network and your images are small. What of a paper on ImageNet can you check at "
            "all?",
            (
                (
                    "Its accuracies.",
                    "Other images, another network, a hundredth of the steps: which figure should "
                    "be the same?",
                ),
                (
                    "Which of two settings is the better one.",
                    "Yes: that claim can hold at any size, and can be tried at any.",
                ),
                (
                    "Nothing.",
                    "A finding says more than a number. Does 'stronger colour helps' name a size?",
                ),
            ),
            1,
        ),
        Question(
            "A difference over three seeds is +1.2, its 95% interval from −0.8 to +3.2. What do "
            "you report?",
            (
                (
                    "The paper is right: the mean is above 0.",
                    "Three seeds scatter. Which differences do they allow, too?",
                ),
                (
                    "There is no difference.",
                    "A difference of 3 lies in the interval, too. What is it that you know?",
                ),
                ("That I cannot tell.", "Yes: too few seeds, or too small a difference, to tell."),
            ),
            2,
        ),
        Question(
            "Why did the rules stand before the runs were made?",
            (
                (
                    "Whoever sees the numbers first finds a rule by which they fit.",
                    "Yes, and mostly without noticing.",
                ),
                (
                    "The runs depend on the rules.",
                    "Each run would have come out the same. Who would not?",
                ),
                (
                    "So that more claims come out as the paper's.",
                    "They cannot be chosen to please any more: probably fewer do.",
                ),
            ),
            0,
        ),
        Question(
            "The batch is eight times as large, the number of epochs the same. What else has "
            "changed?",
            (
                ("Nothing.", "How many batches make an epoch now?"),
                (
                    "The network sees eight times as many images.",
                    "An epoch is every image once, in batches of any size. What happens after "
                    "each batch?",
                ),
                (
                    "The optimiser takes an eighth of the steps.",
                    "Yes: that is why the learning rate has to follow, and why short trainings "
                    "suffer.",
                ),
            ),
            2,
        ),
        Question(
            "One setting finds the most partners, another is ahead by the probe on h. Which one "
            "do you take?",
            (
                (
                    "The one that finds the most partners: that is what the loss asks for.",
                    "What the loss asks for is thrown away together with the head. What is kept?",
                ),
                (
                    "The one that is ahead by the probe.",
                    "Yes: pairs are the means. What is kept is h.",
                ),
                (
                    "The mean of both ranks decides.",
                    "Only one of the two is used afterwards. Which?",
                ),
            ),
            1,
        ),
    ),
}
