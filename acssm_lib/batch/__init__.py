"""Many runs (notebook 08).

Papermill over groups, methods and seeds, on one machine or a cluster; knows presets and files, not
the science.

In reading order: ``runs``, ``run_one``, ``kernel``, ``family``, ``process``, ``runner``, ``handshake``,
``dask_workers``, ``progress``.
"""
