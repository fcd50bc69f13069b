"""One small change of the meaning at a time."""

import ast
import textwrap

from tools import mutants

TEXT = textwrap.dedent('''
    """What a docstring says is no meaning: 1 < 2."""
    def share(values, limit: int = 3):
        """And 1."""
        if not values:
            raise ValueError(f"{len(values) + 1} values, expected at most {limit}")
        values.sort(reverse=True)
        return [value / limit for value in values if value < limit or value == -1]
''')


def test_every_change_is_one_place_and_still_a_program():
    found = mutants.changes(ast.parse(TEXT))
    assert sorted(what for _, what, _ in found) == [
        "and, or",
        "comparison",
        "comparison",
        "condition",
        "constant",
        "constant",
        "constant",
        "operator",
        "sign",
        "statement dropped",
        "without reverse=",
    ]
    whole = ast.unparse(ast.parse(TEXT)).splitlines()
    for number, (line, _, _) in enumerate(found):
        changed = mutants.mutated(TEXT, number).splitlines()
        unlike = [place for place, (one, other) in enumerate(zip(whole, changed, strict=True)) if one != other]
        assert len(unlike) == 1 and line not in (2, 4, 6)
        compile("\n".join(changed), "mutant", "exec")


def test_what_no_test_can_tell_is_left_alone_and_a_dropped_statement_is_named():
    call = "self.to(zip(a, b, strict=True), device=0)"
    text = f"@dataclass(frozen=True)\nclass Pair:\n    def put(self) -> list[int]:\n        {call}\n"
    assert [what for _, what, _ in mutants.changes(ast.parse(text))] == ["statement dropped"]
    assert mutants.changed_line(text, 0) == f"pass  # {call}"


def test_a_sample_repeats_and_every_module_of_the_science_has_tests():
    modules = [
        path
        for name in mutants.CORE
        for path in (sorted((mutants.ROOT / name).glob("[a-z]*.py")) or [mutants.ROOT / name])
    ]
    of_one = modules[:1]
    assert mutants.sample(9, 1, of_one) == mutants.sample(9, 1, of_one) != mutants.sample(9, 2, of_one)
    without = [
        module.stem
        for module in modules
        if not [name for name in mutants.tests_of(module) if (mutants.ROOT / "tests" / name).is_file()]
    ]
    assert without == []
