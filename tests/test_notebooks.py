"""The course as pages: whole, executed, true, and in step with the library."""

import ast
import base64
import dis
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from tools.notebooks import state_time, unclean

ROOT = Path(__file__).resolve().parents[1]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TAUGHT = ("data", "model", "pretraining", "fewshot", "baselines")  # the rooms of the science
MODULES = [path for room in TAUGHT for path in sorted((ROOT / "acssm_lib" / room).glob("[a-z]*.py"))]
PAGES = {path.stem: json.loads(path.read_text(encoding="utf-8"))["cells"] for path in PATHS}
each_page = pytest.mark.parametrize("name", PAGES)


def source(cell):
    return "".join(cell["source"])


def tags(cell):
    return cell["metadata"].get("tags", [])


def code_cells(name):
    return [cell for cell in PAGES[name] if cell["cell_type"] == "code"]


def printed(cell):
    return "".join("".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream")


def test_the_pages_are_numbered_without_a_gap():
    """That README and docs/course.md list them all, test_docs says."""
    assert [name[:2] for name in PAGES] == [f"{number:02d}" for number in range(len(PAGES))]


@each_page
def test_page_is_committed_executed_small_and_without_warnings(name):
    assert (ROOT / "notebooks" / f"{name}.ipynb").stat().st_size < 1_000_000
    assert unclean(nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)) == []


@each_page
def test_code_fits_a_laptop_screen(name):
    for cell in code_cells(name):
        lines = source(cell).splitlines()
        assert len(lines) <= 30, f"{cell['id']}: {len(lines)} lines"
        assert not [line for line in lines if len(line) > 95], cell["id"]


@each_page
def test_printed_lines_fit_a_laptop_screen(name):
    """JupyterLab breaks a longer one in the middle of a word; an address may be, it has no better place."""
    lines = [line for cell in code_cells(name) for line in printed(cell).splitlines()]
    assert not [line for line in lines if len(line) > 112 and "://" not in line]


@each_page
def test_letters_of_figures_can_be_read_on_a_laptop_screen(name):
    """JupyterLab shrinks what is wider than a page, 880 pixels of 1366."""
    data = [output.get("data", {}) for cell in code_cells(name) for output in cell["outputs"]]
    figures = [
        Image.open(io.BytesIO(base64.b64decode("".join(one["image/png"])))) for one in data if "image/png" in one
    ]
    assert not [figure.size for figure in figures if figure.width > 1300]


@each_page
def test_what_a_reader_compares_with_does_not_fold_away_with_the_section_before_it(name):
    text = "\n".join(source(cell) for cell in PAGES[name] if cell["cell_type"] == "markdown")
    folded = re.split(r"(?m)^#+ Aside: ", text)[1:]
    assert not [part for part in folded if "What you should see" in re.split(r"(?m)^#{1,3} ", part)[0]]


def compiled(cell):
    return compile(re.sub(r"(?m)^[%!].*", "", source(cell)), cell["id"], "exec")


def codes_in(code):
    return [constant for constant in code.co_consts if hasattr(constant, "co_code")]


def read_by(codes):
    """Global names that these code objects, or functions within them, read."""
    for code in (codes := list(codes)):
        codes += codes_in(code)
    return {
        one.argval for code in codes for one in dis.get_instructions(code) if one.opname in ("LOAD_NAME", "LOAD_GLOBAL")
    }


def names(cell):
    """(global names that a cell sets, global names that it or a function in it reads)."""
    module = compiled(cell)
    made = {one.argval for one in dis.get_instructions(module) if one.opname == "STORE_NAME"}
    return made, read_by([module])


@each_page
def test_who_skips_an_aside_misses_nothing_that_the_page_needs_later(name):
    folded, thread, aside = 0, set(), set()
    for cell in PAGES[name]:
        heading = re.match(r"(#+) ", source(cell)) if cell["cell_type"] == "markdown" else None
        if heading and (not folded or len(heading[1]) <= folded):
            folded = len(heading[1]) if cell["metadata"].get("jp-MarkdownHeadingCollapsed") else 0
        if cell["cell_type"] == "code":
            made, read = names(cell)
            if folded:
                aside |= made
            else:
                assert not (read - made - thread) & aside, cell["id"]
                thread |= made


@each_page
def test_a_cell_can_be_run_again_from_below(name):
    """As "Try it" asks: no later cell has given a name that a function reads to something else."""
    cells = code_cells(name)
    made = [names(cell)[0] for cell in cells]
    for place, cell in enumerate(cells, start=1):
        functions = [code for code in codes_in(compiled(cell)) if not code.co_name.startswith("<")]
        assert not read_by(functions) & set().union(*made[:place]) & set().union(*made[place:]), cell["id"]


@each_page
def test_no_cell_draws_on_a_figure_that_another_cell_made(name):
    for cell in code_cells(name):
        tree = list(ast.walk(ast.parse(source(cell))))
        made = {node.id for node in tree if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        used = {node.value.id for node in tree if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)}
        assert "fig" not in used - made, cell["id"]


@each_page
def test_a_page_says_how_long_it_takes(name):
    page = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    said = page.cells[0].source
    state_time(page)
    assert page.cells[0].source == said, "python -m tools.notebooks times notebooks/*.ipynb writes it again"


@each_page
def test_what_can_be_skipped_is_folded_and_says_so(name):
    for cell in PAGES[name]:
        folded = cell["metadata"].get("jp-MarkdownHeadingCollapsed", False)
        heading = re.match(r"#+ (.*)", source(cell)) if cell["cell_type"] == "markdown" else None
        assert bool(folded) == bool(heading and heading[1].startswith("Aside: ")), heading


@each_page
def test_parameters_are_literals_with_a_comment(name):
    cells = [cell for cell in code_cells(name) if "parameters" in tags(cell)]
    assert len(cells) == 1 and cells[0]["execution_count"] == 1
    lines = source(cells[0]).splitlines()
    for statement in ast.parse(source(cells[0])).body:
        line = lines[statement.end_lineno - 1]
        assert isinstance(statement, ast.Assign) and "#" in line, line
        ast.literal_eval(statement.value)


@each_page
def test_page_has_its_anatomy(name):
    text = "\n".join(source(cell) for cell in PAGES[name] if cell["cell_type"] == "markdown")
    assert text.startswith(f"# {int(name[:2])} · ")
    for part in ("**You will**", "**Cost**", "## What you should see\n", "## Try it", "**References"):
        assert part in text, part
    pages = list(PAGES)
    place = pages.index(name)
    for neighbour in pages[max(0, place - 1) : place + 2]:
        assert neighbour == name or f"({neighbour}.ipynb)" in text


@each_page
def test_exercises_have_a_stub_a_check_and_a_folded_answer_that_is_right(name):
    cells = code_cells(name)
    stubs = [place for place, cell in enumerate(cells) if "exercise" in tags(cell)]
    assert len(stubs) >= 2
    for place in stubs:
        stub, check, answer = cells[place : place + 3]
        assert "return None" in source(stub)
        assert {"nbval-check-output"} == set(tags(check)) and printed(check) == "not attempted yet\n"
        assert {"solution", "nbval-check-output"} == set(tags(answer)) and printed(answer).startswith("correct\n")
        assert answer["metadata"]["jupyter"] == {"source_hidden": True}
        assert "checks.attempt(" in source(check) and "checks.attempt(" in source(answer)


@each_page
def test_a_copy_without_answers_names_nothing_that_an_answer_defines(name):
    trees = {place: ast.parse(re.sub(r"(?m)^[%!].*", "", source(cell))) for place, cell in enumerate(code_cells(name))}
    answers = {place for place, cell in enumerate(code_cells(name)) if "solution" in tags(cell)}
    defined = [{node.name for node in trees[place].body if isinstance(node, ast.FunctionDef)} for place in answers]
    used = {
        node.id
        for place, tree in trees.items()
        if place not in answers
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert not used & set().union(*defined)


def test_a_wrong_stored_number_makes_the_replay_fail(tmp_path):
    page = json.loads((ROOT / "notebooks/01_audio_preprocessing.ipynb").read_text(encoding="utf-8"))
    for cell in page["cells"]:
        digit = cell["cell_type"] == "code" and "nbval-check-output" in tags(cell) and re.search(r"\d", printed(cell))
        if digit:
            break
    stream = cell["outputs"][0]
    text = "".join(stream["text"])
    place = re.search(r"\d", text).start()
    stream["text"] = text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :]
    page["cells"] = page["cells"][: page["cells"].index(cell) + 1]
    (tmp_path / "wrong.ipynb").write_text(json.dumps(page), encoding="utf-8")
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-sanitize-with", str(ROOT / "tests/sanitize.cfg")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", *options, "wrong.ipynb"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTEST_ADDOPTS": ""},
    )
    assert done.returncode == 1 and "1 failed" in done.stdout, done.stdout
    assert re.search(r"mismatch 'stdout'", done.stdout)


def public(module):
    """(name, docstring) of every public function and class of a module."""
    return [
        (node.name, ast.get_docstring(node) or "")
        for node in ast.parse(module.read_text(encoding="utf-8")).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    ]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_a_public_name_is_taught_where_it_says(module):
    for name, docstring in public(module):
        place = re.search(r"Taught in: (\w+)", docstring)
        if place is None:  # plumbing, such as reading a table of file names
            continue
        assert place[1] in PAGES, f"{module.name}: {name} names no notebook of the course"
        named = any(
            re.search(rf"\b{name}\b", words)
            for cell in PAGES[place[1]]
            for words in (
                [source(cell)] if cell["cell_type"] == "code" else re.findall(r"(?s)```.*?```|`[^`]+`", source(cell))
            )
        )
        assert named, f"{module.name}: {place[1]} does not show {name}"


@each_page
def test_files_that_a_page_names_are_there(name):
    text = "\n".join(source(cell) for cell in PAGES[name] if cell["cell_type"] == "markdown")
    for path in re.findall(r"`((?:acssm_lib|benchmarks|docs|figures|notebooks|tests|tools)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


def headings(text):
    """Anchors of a markdown text, as GitHub makes them."""
    titles = re.findall(r"(?m)^#+ +(.+)$", text)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    "page",
    [
        *(
            path.relative_to(ROOT).as_posix()
            for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
        ),
        *PAGES,
    ],
)
def test_links_lead_somewhere(page):
    if page.endswith(".md"):
        folder, text = (ROOT / page).parent, (ROOT / page).read_text(encoding="utf-8")
    else:
        folder = ROOT / "notebooks"
        text = "\n".join(source(cell) for cell in PAGES[page] if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert links or page == "CHANGELOG.md"
    for link in links:
        if re.match(r"https?://", link):
            continue  # the tests run offline
        file, _, anchor = link.partition("#")
        target = folder / file if file else None
        assert target is None or target.exists(), link
        if anchor:
            assert anchor in headings(text if target is None else target.read_text(encoding="utf-8")), link
