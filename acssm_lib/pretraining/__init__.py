"""Learning without labels (section II.B; notebook 04).

Pairs of views of one recording, the loss that pulls them together, and the loop over the pool.

In reading order: ``augment``, ``contrastive``, ``spectrogram_changes``, ``spectrogram_views``,
``augmented_views``.
"""
