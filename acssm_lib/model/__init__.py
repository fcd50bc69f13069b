"""The network (section II.A; notebooks 02 and 03).

Waveform to spectrograms, a CNN along frequency, S4D layers along time, and one vector per clip.

In reading order: ``base``, ``features``, ``standardisation``, ``resnet``, ``s4d``, ``convolution``, ``mamba``,
``products``, ``encoder``, ``streaming``, ``ensemble``.
"""
