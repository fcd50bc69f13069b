"""One run (section III; notebook 08).

Which encoder a method has, encoders that are trained once and kept, what is measured, its record, the
classifier that stays, and all of it as one function.

In reading order: ``methods``, ``shelf``, ``measure``, ``schema``, ``records``,
``classifier``, ``run``.
"""
