"""Break the library in one place at a time, and see whether the tests of that module notice: ``make mutants``.

A mutant is one small change of the meaning of one module: a comparison turned, a number moved by one, a sign, an index
or a keyword left out, a statement dropped. It is killed if a test of the module fails, or takes far too long. Those
that live say which behaviour nobody holds the code to; some of them change nothing that can be seen.

A sample, drawn from a seed, is tried on a copy of the working tree. The tests of a module are collected once; every
mutant is put into a fork of that process (``tools/grafting.py``), so that most take a second or two. What lives, and
stands where only loading a module would show it, is tried once more in a process of its own. Examples of hypothesis
are the same ones each time, and are not made smaller. Not in CI.
"""

import argparse
import ast
import functools
import itertools
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import hypothesis
import nbval.kernel  # noqa: F401  what the tests load is loaded once, before the forks; never this package
import numpy  # noqa: F401
import pandas  # noqa: F401
import pytest
import scipy.signal  # noqa: F401
import sklearn.linear_model  # noqa: F401
import soundfile  # noqa: F401
import torch  # noqa: F401
import torchaudio  # noqa: F401

from tools.grafting import graft

ROOT = Path(__file__).resolve().parents[1]
CORE = (
    "acssm_lib/model",
    "acssm_lib/pretraining",
    "acssm_lib/fewshot",
    "acssm_lib/data/reading",
    "acssm_lib/experiment/records.py",
    "acssm_lib/files.py",
)
# Tests of a module beside, or in place of, the file of its own name; the fastest first.
TESTS = {
    "reading": ["data/test_laws_of_sound.py", "data/test_reading.py"],
    **dict.fromkeys(("channels", "levels"), ["data/test_levels_and_channels.py"]),
    **{name: [f"data/test_{name}.py"] for name in ("containers", "decoding", "mpeg")},
    "convolution": ["model/test_s4d.py"],
    "resnet": ["model/test_encoder.py", "model/test_base.py"],
    "encoder": ["model/test_base.py", "model/test_products.py"],
    "ensemble": ["model/test_products.py"],
    "streaming": ["model/test_mamba.py"],
    "augmented_views": ["experiment/test_methods.py"],
    "contrastive": ["pretraining/test_augmented_views.py"],
    "spectrogram_changes": ["pretraining/test_spectrogram_views.py"],
    **dict.fromkeys(("episodes", "protocols", "statistics"), ["fewshot/test_laws_of_draws.py"]),
    "embedding": ["model/test_ensemble.py"],
    "evaluation": ["fewshot/test_laws_of_draws.py", "experiment/test_measure.py"],
    "records": ["experiment/test_measure.py"],
    "files": ["test_files.py"],
}
# Keywords whose change no test can tell: where and when something is computed, and guards against mistakes that the
# module does not make (zip(strict=True), dataclass(frozen=True)).
_UNSEEN = {"non_blocking", "device", "strict", "frozen"}
MOST_S = 300.0  # of a processor, for the tests of a module without any change
_COMPARED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_COMPUTED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


def tests_of(module):
    """Test files of a module, below ``tests/``."""
    room = module.parent.name
    own = f"{room}/test_{module.stem}.py"
    found = [own] if (ROOT / "tests" / own).is_file() else []
    return found + [name for name in TESTS.get(module.stem, []) + TESTS.get(room, []) if name not in found]


def changes(tree):
    """Of every place of a parsed module: (line, what changes, function without arguments that changes the tree)."""
    silent = set()  # what an error says, annotations, and what keywords are given that nobody sees
    for node in ast.walk(tree):
        unseen = isinstance(node, ast.keyword) and node.arg in _UNSEEN
        if unseen or isinstance(node, (ast.Raise, ast.JoinedStr, ast.arg, ast.AnnAssign)):
            silent |= {id(part) for part in ast.walk(node)}
        if isinstance(node, ast.FunctionDef) and node.returns:
            silent |= {id(part) for part in ast.walk(node.returns)}
    found = []
    for node in ast.walk(tree):
        if id(node) not in silent:
            found += [(node.lineno, what, change) for what, change in _of_node(node)]
        for block in ("body", "orelse"):
            statements = getattr(node, block, None)
            for place, statement in enumerate(statements if isinstance(statements, list) else ()):
                if isinstance(statement, ast.AugAssign) or (
                    isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
                ):
                    found.append(
                        (
                            statement.lineno,
                            "statement dropped",
                            functools.partial(statements.__setitem__, place, ast.Pass()),
                        )
                    )
    return found


def _of_node(node):
    """(what changes, function that changes it) of one node."""
    put = functools.partial(setattr, node)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARED:
        yield "comparison", functools.partial(node.ops.__setitem__, 0, _COMPARED[type(node.ops[0])]())
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _COMPUTED:
        yield "operator", functools.partial(put, "op", _COMPUTED[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield "and, or", functools.partial(put, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        yield (
            "constant",
            functools.partial(put, "value", not node.value if isinstance(node.value, bool) else node.value + 1),
        )
    elif isinstance(node, (ast.If, ast.IfExp, ast.While)):
        yield "condition", functools.partial(put, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Call) and node.keywords and node.keywords[-1].arg not in (None, *_UNSEEN):
        yield f"without {node.keywords[-1].arg}=", node.keywords.pop
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign", functools.partial(put, "op", ast.UAdd())
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and isinstance(node.slice, ast.Name):
        yield "index dropped", functools.partial(put, "slice", ast.Slice())


def mutated(text, number):
    """The text of a module with its change of that number."""
    tree = ast.parse(text)
    changes(tree)[number][2]()
    return ast.unparse(ast.fix_missing_locations(tree))


def changed_line(text, number):
    """The line that a change makes another one, as it becomes; of a dropped statement what it was."""
    whole = ast.unparse(ast.parse(text)).splitlines()
    lines = zip(whole, mutated(text, number).splitlines())
    old, new = next((old.strip(), new.strip()) for old, new in lines if old != new)
    return f"pass  # {old}" if new == "pass" else new


def only_loading_shows(text, line):
    """Whether a line stands outside of every function's body."""
    bodies = [node.body for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return not any(body[0].lineno <= line <= body[-1].end_lineno for body in bodies)


def forked(act, most_s):
    """(whether ``act()`` is true in a fork of this process, seconds of the processor that it took).

    What takes more than ``most_s`` of these is not, nor is what waits for twenty times as long.
    """
    child = os.fork()
    if not child:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(most_s),) * 2)
        try:
            os._exit(0 if act() else 1)
        finally:  # whatever was raised
            os._exit(1)
    end = time.monotonic() + 20 * most_s
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return status == 0, usage.ru_utime + usage.ru_stime
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False, most_s
        time.sleep(0.02)


def run_tests(copied, tests, *plugins):
    """Whether test files pass on a copy of the working tree, in this process, which is good for nothing afterwards."""
    os.chdir(copied)
    sys.path.insert(0, str(copied))
    os.environ["PYTHONPATH"] = str(copied)
    sys.dont_write_bytecode = True  # two mutants of one second and one length would be taken for one another
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    return (
        pytest.main(
            [
                "-x",
                "-q",
                "-s",
                "-n",
                "0",
                "-p",
                "no:cacheprovider",
                f"--basetemp={copied.parent / 'tmp'}",
                "--hypothesis-profile",
                "mutants",
                *(f"tests/{name}" for name in tests),
            ],
            list(plugins),
        )
        == 0
    )


class Tries:
    """A plugin of pytest that runs the collected tests in a fork for each mutant, and writes what came of it.

    Args:
        module: path of the module in the copy; name: of the module, as it is imported.
        texts: of the module as it is, then of the mutants.
        answers: open file, to which a line [passed, seconds] goes for each text.
    """

    def __init__(self, module, name, texts, answers):
        self.module, self.name, self.texts, self.answers = module, name, texts, answers

    def pytest_runtestloop(self, session):
        most_s = MOST_S
        for text in self.texts:
            self.module.write_text(text, encoding="utf-8")  # for what a test starts or loads itself
            passed, taken_s = forked(lambda text=text: self._passes(session, text), most_s)
            most_s = max(20.0, 3 * taken_s) if text is self.texts[0] else most_s
            print(json.dumps([passed, taken_s]), file=self.answers, flush=True)
            if text is self.texts[0] and not passed:
                break
        return True

    def _passes(self, session, text):
        if self.name in sys.modules:
            graft(self.name, text)
        for item, following in itertools.zip_longest(session.items, session.items[1:]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return False
        return True


def sample(number, seed, modules):
    """[(module, number of the change, line, what)], drawn from all mutants of the modules."""
    everything = [
        (module, place, line, what)
        for module in modules
        for place, (line, what, _) in enumerate(changes(ast.parse(module.read_text(encoding="utf-8"))))
    ]
    return random.Random(seed).sample(everything, min(number, len(everything))), len(everything)


def tried(chosen, copied):
    """Yields (module, line, what, the line as changed, whether it was killed), those of one module side by side."""
    for module in sorted({module for module, *_ in chosen}):
        own = [one for one in chosen if one[0] == module]
        inside, tests, text = module.relative_to(ROOT), tests_of(module), module.read_text(encoding="utf-8")
        path, texts = copied / inside, [text, *(mutated(text, place) for _, place, _, _ in own)]
        there, back = os.pipe()
        child = os.fork()
        if not child:
            os.close(there)
            run_tests(copied, tests, Tries(path, ".".join(inside.with_suffix("").parts), texts, os.fdopen(back, "w")))
            os._exit(0)
        os.close(back)
        with os.fdopen(there) as answers:
            (whole, taken_s), *found = map(json.loads, answers.readlines() or ["[false, 0]"])
        os.waitpid(child, 0)
        alone = not whole  # one that cannot be grafted, as where a table names its functions
        if alone:
            path.write_text(text, encoding="utf-8")
            whole, taken_s = forked(functools.partial(run_tests, copied, tests), MOST_S)
            found = [[True, 0.0]] * len(own)
        if not whole:
            raise RuntimeError(f"{module}: {', '.join(tests)} fail without any change, or take {MOST_S:.0f} s")
        for (_, place, line, what), mutant, (lives, _) in zip(own, texts[1:], found, strict=True):
            if lives and (alone or only_loading_shows(text, line)):
                path.write_text(mutant, encoding="utf-8")
                lives, _ = forked(functools.partial(run_tests, copied, tests), max(30.0, 4 * taken_s))
            yield module, line, what, changed_line(text, place), not lives
        path.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=150, help="of mutants (default: 150)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "mutants.txt")
    parser.add_argument("modules", nargs="*", type=Path, help="files or folders (default: the rooms of the science)")
    args = parser.parse_args()
    hypothesis.settings.register_profile(
        "mutants", derandomize=True, database=None, phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate)
    )
    places = args.modules or [ROOT / name for name in CORE]
    modules = [module.resolve() for place in places for module in (sorted(place.glob("[a-z]*.py")) or [place])]
    chosen, n_all = sample(args.number, args.seed, modules)
    lines, killed = [], 0
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / "copy"
        shutil.copytree(ROOT, copied, ignore=shutil.ignore_patterns(".git", ".venv", "runs", "build", "__pycache__"))
        for count, (module, line, what, changed, dead) in enumerate(tried(chosen, copied), 1):
            killed += dead
            if not dead:
                lines.append(f"{module.relative_to(ROOT)}:{line}: {what}: {changed}")
                print(lines[-1], flush=True)
            score = f"{killed} of {count} mutants killed ({killed / count:.0%}); {len(chosen)} drawn of {n_all:,}"
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text("\n".join([f"{score}, seed {args.seed}", *lines]) + "\n", encoding="utf-8")
    print(score)


if __name__ == "__main__":
    main()
