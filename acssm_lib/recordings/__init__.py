"""From a recorder's card to a table of species: long recordings, labels by listening, honest counts.

The paper's promise for someone's own recordings: unlabelled sound in plenty, few labels, an encoder trained on the
very site. One folder per survey holds it all; nothing here writes to the recordings.

In reading order: ``folder``, ``clock``, ``card``, ``look``, ``windows``, ``encoders``, ``journal``, ``index``,
``embedding``, ``indexing``, ``labels``, ``examples``, ``marks``, ``asking``, ``heads``, ``tuning``, ``listening``,
``listening_page``, ``serve``, ``share``, ``predict``, ``tables``, ``exports``, ``review``, ``thresholds``,
``species``, ``demo_card``, ``walk``.
"""
