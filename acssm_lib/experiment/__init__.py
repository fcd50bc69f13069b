"""One run (section III; notebook 08).

Which encoder a method has, encoders that are trained once and kept, what is measured, and its
record.

In reading order: ``methods``, ``shelf``, ``measure``, ``schema``, ``records``.
"""
