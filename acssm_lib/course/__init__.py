"""Widgets and checks of the pages (every notebook).

What a reader turns, hears and answers.

In reading order: ``checks``, ``recipes``, ``listen``, ``quiz``, ``panel``, ``explore_spectrogram``, ``explore_kernel``;
the explorer: ``neighbours``, ``colouring``, ``clip_picture``, ``clip_marks``, ``embedding_state``, ``scatter``,
``explore_embedding``.
"""
