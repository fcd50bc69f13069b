"""From records to a page (Tables I and II; notebooks 06 and 08).

Whatever has finished is read, compared on equal draws, put into words and drawn.

In reading order: ``intake``, ``readings``, ``tables``, ``claims``, ``blocks``, ``markdown``, ``paper``,
``beside_paper``, ``words``, ``figures``, ``build``; the page of the demo: ``page``.
"""
