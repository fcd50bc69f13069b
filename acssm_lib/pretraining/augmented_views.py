"""AcousticSSM2 in the recipe of preset ``best``: several augmentations of one segment, compared by cosine.

AcousticSSM1's views are different moments of a recording, changed on the spectrogram. AcousticSSM2's are one and the
same moment, changed on the waveform: what is learned is which changes do not matter, and never that two moments
belong together.
"""

from acssm_lib.data.clips import random_crops
from acssm_lib.pretraining.augment import apply_plans, augmentations, draw_plans
from acssm_lib.pretraining.contrastive import AugmentedPairs, NoisyPairs
from acssm_lib.pretraining.spectrogram_views import SegmentViews


class AugmentedViews(SegmentViews):
    """``AugmentedPairs`` with ``n_views`` views: one crop, not stretched, through its chain of augmentations each time.

    The order of the chain is drawn once per recording, its parameters for every view.

    Args:
        encoder: only the length of its embeddings is used here.
        config: a ``Preset``.
    Taught in: 06_ablation_comparison.
    Source: the views from paper section II, method 2; the loss is that of ``SegmentViews``.
    """

    augmentations = AugmentedPairs.augmentations

    def views(self, clips, chosen, generator):
        """Waveforms of all views, (n_views * batch, n_samples), in the order of ``embed``."""
        config = self.config
        crop = random_crops(clips, chosen, config.n_samples, 1.0, generator)
        plans = draw_plans(len(chosen), self.augmentations, generator)
        return apply_plans(
            crop.repeat(config.n_views, 1),
            plans.repeat(config.n_views, 1),
            augmentations(self.augmentations, config),
            generator,
        )

    def embed(self, encoder, clips, chosen, generator):
        return encoder.embed(self.views(clips, chosen, generator).to(next(self.parameters()).device, non_blocking=True))


class NoisyViews(AugmentedViews):
    """The same with the chain of ``NoisyPairs``: white noise in place of time masking.

    Taught in: 06_ablation_comparison.
    """

    augmentations = NoisyPairs.augmentations
