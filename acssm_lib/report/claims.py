"""What the comparisons of a report are about, and what an interval lets one say."""

import math

from acssm_lib.names import EMBEDDER_NAMES, SHUFFLED

CLAIMS = {  # (method, baseline) -> (what a positive difference shows, what a negative one shows)
    **{
        (name, "supervised"): (f"pre-training helps ({name})", f"pre-training hurts ({name})")
        for name in ("acoustic-ssm1", "acoustic-ssm2")
    },
    **{
        (name, "adapted-cnn"): (f"the state-space layers help ({name})", f"the state-space layers hurt ({name})")
        for name in ("acoustic-ssm1", "acoustic-ssm2")
    },
    ("acoustic-ssm1", "matched-cnn"): (
        "state-space layers beat a CNN of the same size",
        "a CNN of the same size beats the state-space layers",
    ),
    ("acoustic-ssm1", "kernel-zeroed"): (
        "memory between frames helps, not the layers' depth alone",
        "memory between frames hurts",
    ),
    **{
        (name, name + SHUFFLED): (
            f"{name} uses the order of the frames",
            f"{name} does better with its frames shuffled",
        )
        for name in ("acoustic-ssm1", "acoustic-ssm2")
    },
    ("supervised", "adapted-cnn"): (
        "state-space layers without pre-training beat the adapted CNN",
        "the adapted CNN beats state-space layers without pre-training",
    ),
    ("acoustic-ssm2", "acoustic-ssm1"): (
        "augmented views beat two segments as pre-training pairs",
        "two segments beat augmented views as pre-training pairs",
    ),
    **{
        (f"{name}-adapted", name): (
            f"more training on the pool helps {name}",
            f"more training on the pool hurts {name}",
        )
        for name in ("byol-a", "mn04")
    },
    ("acoustic-ssm2-noise", "acoustic-ssm2"): ("white noise beats time masking", "time masking beats white noise"),
    **{
        (name, other): (f"{name} beats {other}", f"{other} beats {name}")
        for other in ("mt-slvr", *EMBEDDER_NAMES)
        for name in ("acoustic-ssm1", "acoustic-ssm2")
    },
    **{
        (name, "mel-stats"): (f"{name} beats mel statistics", f"mel statistics beat {name}")
        for name in ("acoustic-ssm1", "acoustic-ssm2", "mt-slvr", "supervised")
    },
    **{
        (name, "lag-covariance"): (f"{name} beats the lag covariance", f"the lag covariance beats {name}")
        for name in ("acoustic-ssm1", "supervised")
    },
}


def interval(mean, low, high, sign=""):
    """Shares as percent or points: "71.2 [65.0, 77.4]"; without an interval the mean alone, without a value a dash."""
    if math.isnan(mean):
        return "–"
    text = f"{100 * mean:{sign}.1f}" + ("" if math.isnan(low) else f" [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]")
    return text.replace("-", "−")


def conclusion(method, baseline, low, high):
    """What the interval of a paired difference shows, in words."""
    better, worse = CLAIMS.get((method, baseline), (f"{method} beats {baseline}", f"{baseline} beats {method}"))
    if math.isnan(low):
        return "no conclusion"
    if low > 0:
        return better
    if high < 0:
        return worse
    return f"not shown that {better}"
