# Two commands: `make demo` and `make test`. Both create the environment in .venv the first time.
.PHONY: demo test lab lock clean
PYTHON ?= python3
RUNS ?= runs/demo
# The stamp's name changes with the requirements, so a second call installs nothing and an edited pin installs again.
STAMP := .venv/.stamp-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)

# uv reads none of pip's settings.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif

demo: $(STAMP)
	.venv/bin/acssm reproduce --dataset synthetic-frogs --preset quick --out $(RUNS)
	.venv/bin/acssm report $(RUNS)

test: $(STAMP)
	.venv/bin/python -m pytest

lab: $(STAMP)
	.venv/bin/jupyter lab notebooks

$(STAMP):
	@echo "Creating the environment in .venv (once; several GB with the GPU build of torch, a few minutes) ..."
	@if command -v uv >/dev/null; then \
	    uv venv -q --allow-existing --python $(PYTHON) .venv && \
	    uv pip install -q --python .venv/bin/python -e '.[dev]' -c constraints.txt; \
	else \
	    $(PYTHON) -m venv .venv && .venv/bin/python -m pip install -q -e '.[dev]' -c constraints.txt; \
	fi
	@rm -f .venv/.stamp-*
	@touch $@

# Pins for every platform, without naming an index: see constraints.txt.
lock:
	uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
	    --no-emit-find-links --all-extras pyproject.toml -o constraints.txt

clean:
	rm -rf .venv runs build *.egg-info .pytest_cache
