"""From bytes to channels: what a file holds, its samples block by block, which channel is heard, how loud.

In reading order: ``pieces``, ``containers``, ``mpeg``, ``decoding``, ``channels``, ``levels``.
"""
