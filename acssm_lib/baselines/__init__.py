"""What the paper compares with (section III, Tables I and II; notebook 06).

Controls without some part of the idea, and other people's networks with the files that they need.

In reading order: ``controls``, ``mel_statistics``, ``lag_covariance``, ``mt_slvr``, ``byol_a``, ``mn04``, ``tera``,
``speech_models``, ``litert``, ``resemblyzer``, ``weights``, ``checkpoints``.
"""
