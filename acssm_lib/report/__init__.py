"""From records to a page (Tables I and II; notebooks 06 and 08).

Whatever has finished is read, compared on equal draws, put into words and drawn.

In reading order: ``readings``, ``tables``, ``claims``, ``blocks``, ``markdown``, ``words``,
``figures``, ``paper``, ``build``.
"""
