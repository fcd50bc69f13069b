"""Words that more than one room uses: methods, data sets, protocols, readouts, each in the order of tables."""

PROTOCOLS = ("transductive", "inductive-clip", "inductive-recording")
READOUTS = ("finetuned", "logistic", "nearest-mean", "clusters")
# Every method by name, in the order of tables and of `acssm reproduce`; ``methods.METHODS`` says what each is.
EMBEDDER_NAMES = ("byol-a", "byol-a-adapted", "mn04", "mn04-adapted", "tera", "mockingjay", "wav2vec2",
                  "hubert")  # these need a file of downloaded weights
METHOD_NAMES = ("mel-stats", "supervised", "adapted-cnn", "matched-cnn", "kernel-zeroed", "mt-slvr",
                "acoustic-ssm1", "acoustic-ssm2", "acoustic-ssm2-noise") + EMBEDDER_NAMES
OWN_PAIRS = ("acoustic-ssm2", "acoustic-ssm2-noise", "mt-slvr")  # methods whose views are their idea
DATASETS = ("synthetic-frogs", "esc50", "folder")
DEFAULT_METHODS = ",".join(name for name in METHOD_NAMES if name not in EMBEDDER_NAMES)
