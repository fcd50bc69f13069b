"""Checks that a notebook shows: a sentence with stable text, or an error that says what was expected."""


def between(name, value, low, high):
    """Print ``ok  <name> within <low> to <high>``.

    Raises:
        AssertionError: the value lies outside; the message gives it.
    Taught in: 08_reproduce_group.
    """
    if not low <= value <= high:
        raise AssertionError(f"{name} is {value:.4g}, expected {low} to {high}")
    print(f"ok  {name} within {low} to {high}")
