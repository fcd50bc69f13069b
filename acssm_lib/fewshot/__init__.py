"""Five labels per class (section II.C and III; notebook 05).

Episodes, fine-tuning, readouts of a frozen encoder, and accuracies with their intervals.

In reading order: ``episodes``, ``groups``, ``protocols``, ``embedding``, ``finetuning``,
``readout``, ``transduction``, ``em_lda``, ``propagation``, ``combination``, ``evaluation``, ``statistics``.
"""
