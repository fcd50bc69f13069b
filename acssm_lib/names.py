"""Words that more than one room uses: methods, data sets, protocols, readouts, each in the order of tables."""

PROTOCOLS = ("transductive", "inductive-clip", "inductive-recording")
# Every readout with its title in reports; ``measure.HEARING`` says which class the last ones are.
READOUTS = {
    "finetuned": "Fine-tuned",
    "logistic": "Frozen, logistic regression",
    "nearest-mean": "Frozen, nearest class mean",
    "clusters": "Frozen, clusters that start at the labels and hear the unlabelled clips",
    "transport": "Frozen, the same clusters with classes half-way to equal sizes",
    "balanced-transport": "Frozen, the same clusters, told that all classes are equally frequent",
    "em-lda": "Frozen, discriminant analysis that hears the unlabelled clips",
    "propagation": "Frozen, labels propagated along a graph of neighbours",
}
SHUFFLED = ", frames shuffled at test"  # behind a method's name, where its frames were asked in random order
# Every method with its colour in figures, in the order of tables and of `acssm reproduce`; ``methods.METHODS`` says
# what each is. Colour-blind-safe: Okabe and Ito, filled up with Paul Tol's muted set.
_EMBEDDERS = {  # these need a file of downloaded weights
    "byol-a": "#000000",
    "byol-a-adapted": "#44AA99",
    "mn04": "#DDCC77",
    "mn04-adapted": "#661100",
    "tera": "#999933",
    "mockingjay": "#332288",
    "wav2vec2": "#882255",
    "hubert": "#D55E00",
    "birdnet": "#8A2BE2",
    "wakeword": "#FF8FA3",
    "resemblyzer": "#9ACD32",
}
METHOD_COLOURS = {
    "mel-stats": "#6E6E6E",
    "lag-covariance": "#A9A9A9",
    "supervised": "#E69F00",
    "adapted-cnn": "#009E73",
    "matched-cnn": "#117733",
    "kernel-zeroed": "#AA4499",
    "mt-slvr": "#CC79A7",
    "acoustic-ssm1": "#0072B2",
    "acoustic-ssm2": "#56B4E9",
    "acoustic-ssm2-noise": "#A6761D",
    **_EMBEDDERS,
}
EMBEDDER_NAMES, METHOD_NAMES = tuple(_EMBEDDERS), tuple(METHOD_COLOURS)
STATISTICS = ("mel-stats", "lag-covariance")  # nothing of them learns but the readout
MADE = ("synthetic-phrases", "synthetic-frogs")  # data sets that are made on the spot
DATASETS = MADE + ("esc50", "spoken-digits", "folder")
DEFAULT_METHODS = ",".join(name for name in METHOD_NAMES if name not in EMBEDDER_NAMES)
RECORD_SCHEMA = 1  # version of metrics.json; see experiment.schema
