"""From files to clips (section III (clip preparation); notebooks 00 and 01).

Recordings become 16-bit mono clips at one rate, kept in a bank, from which crops are cut for whole
batches.

In reading order: ``reading`` (a room of its own), ``audio``, ``clips``, ``bank``, ``base``, ``tables``, ``layouts``,
``folders``, ``faults``, ``likeness``, ``datasets``, ``scenes``, ``frogs``,
``phrases``.
"""
