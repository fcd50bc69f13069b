"""Widgets and checks of the pages (every notebook).

What a reader turns, hears and answers.

In reading order: ``checks``, ``recipes``, ``listen``, ``quiz``, ``panel``, ``scatter``, ``explore_spectrogram``,
``explore_kernel``, ``explore_embedding``, ``neighbours``.
"""
