"""The ``acssm`` command (notebook 08).

Words in, work done, sentences out.

In reading order: ``main``, ``arguments``, ``reproduce``, ``demo``, ``data_check``, ``esc50_archive``,
``frog_folder``, ``survey``, ``survey_people``.
"""
