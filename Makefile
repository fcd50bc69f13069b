# Two commands: `make demo` and `make test`. Both create the environment in .venv the first time.
.PHONY: thesis demo survey test test-browser lint mutants lab notebooks student tables docs-tables figures bench scaling grade site everywhere lock clean
PYTHON ?= python3
RUNS ?= runs/demo
# The stamp's name changes with the requirements, so a second call installs nothing and an edited pin installs again.
STAMP := .venv/.stamp-$(shell cat pyproject.toml setup.py constraints.txt | cksum | cut -d' ' -f1)

# uv reads none of pip's settings.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif

# What runs and what is printed: acssm_lib/cli/demo.py.
demo: $(STAMP)
	.venv/bin/acssm demo --out $(RUNS)

# From a memory card to a species table: all steps on a synthetic card, with the planted truth as the listener.
SURVEY ?= runs/survey
survey: $(STAMP)
	.venv/bin/python -m acssm_lib.recordings.walk --to $(SURVEY)

# One file or notebook per process, one thread each, the longest first (tests/conftest.py): all notebooks are replayed,
# and processes beat threads here.
test: $(STAMP)
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Names, style, the floors of the rooms (nobody imports upwards), types, clean notebooks; seconds, but for the first time,
# when mypy reads torch. The same checks are hooks for pre-commit.
lint: $(STAMP)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/mypy
	.venv/bin/python -m tools.notebooks check $(PAGES)

# The widgets in headless Chromium; skips, and says how to get one, where there is none.
BROWSER ?=
test-browser: $(STAMP)
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -m browser -rs $(BROWSER) $(wildcard tests/*/test_*browser.py)

# Breaks the science in 150 places, one at a time, and counts how many its tests notice; an hour or two.
mutants: $(STAMP)
	OMP_NUM_THREADS=1 .venv/bin/python -m tools.mutants

# Serves the repository, so that links from the pages to README and docs/ work, and opens the folder of the pages.
# Kernels are spoken to in cipher where they can be; else each one's start warns of listeners.
lab: $(STAMP)
	.venv/bin/jupyter lab --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks --KernelManager.transport_encryption=auto

# Run the course and store its outputs: make notebooks, or make notebooks PAGES=notebooks/03_s4d.ipynb
PAGES ?= $(wildcard notebooks/*.ipynb)
notebooks: $(STAMP)
	.venv/bin/python -m tools.notebooks execute $(PAGES)

# Every page on recordings that it was not written with, small; most of an hour on one core. The workflow `nightly` runs it:
# make everywhere DATA=PATH/esc10 DIGITS=PATH/spoken_digits (without them, on a folder of short clips that it makes)
everywhere: $(STAMP)
	OMP_NUM_THREADS=1 .venv/bin/python -m tools.everywhere $(if $(DATA),--data $(DATA)) $(if $(DIGITS),--digits $(DIGITS))

# Copies without the solutions, to hand out.
student: $(STAMP)
	.venv/bin/python -m tools.notebooks student notebooks student

# What came back, as one table in grades/, student x exercise; DIR has a folder per student: make grade DIR=class
grade: $(STAMP)
	.venv/bin/python -m tools.grade $(DIR) --out grades

$(STAMP):
	@echo "Creating the environment in .venv (once; several GB with the GPU build of torch, a few minutes) ..."
	@if command -v uv >/dev/null; then \
	    uv venv -q --allow-existing --python $(PYTHON) .venv && \
	    uv pip install -q --compile-bytecode --python .venv/bin/python -e '.[dev]' -c constraints.txt; \
	else \
	    $(PYTHON) -m venv .venv && .venv/bin/python -m pip install -q -e '.[dev]' -c constraints.txt; \
	fi
	@rm -f .venv/.stamp-*
	@touch $@

# The course as pages to read without a kernel, in build/site; nothing is executed, a dead link ends it. Half a minute of
# one core, and more for installing: the workflow `site` and .ci/run build it.
site: $(STAMP)
	@.venv/bin/python -c "import myst_nb, sphinx_book_theme, latex2mathml" 2>/dev/null || \
	    $$(command -v uv >/dev/null && echo uv pip install --python .venv/bin/python || echo .venv/bin/python -m pip install) \
	        -q -e '.[site]' -c constraints.txt
	.venv/bin/python -m tools.site build/site

# The records of docs/results.md, from scratch: every method that needs no download with preset best, three seeds, on
# ESC-10 and on spoken digits (labels from one speaker, then from five), then one seed of ESC-10 with the queries kept out
# of the pool. About three hours on two cores that do nothing else; an interrupted one goes on. Records go to
# figures/metrics. make tables DATA=PATH/esc10 DIGITS=PATH/spoken_digits
TABLES ?= runs/tables
METHODS ?= mel-stats,supervised,acoustic-ssm1,adapted-cnn,matched-cnn,kernel-zeroed,acoustic-ssm2,mt-slvr
AT_BEST := reproduce --preset best --jobs 2
ESC10 = --dataset esc50 --data $(DATA) --groups E1,E2
SPOKEN = --dataset spoken-digits --data $(DIGITS) --groups D1,D2
SHORT := n_fft=512 hop_length=256 n_samples=12288 pool=everything pretrain_epochs=20
tables: $(STAMP)
	.venv/bin/acssm $(AT_BEST) $(ESC10) --methods $(METHODS) --seeds 0,1,2 --out $(TABLES)/esc10
	.venv/bin/acssm $(AT_BEST) $(SPOKEN) --methods $(METHODS),lag-covariance --seeds 0,1,2 --out $(TABLES)/spread \
	    --set support_sources=spread $(SHORT)
	mkdir -p $(TABLES)/one && cp -R $(TABLES)/spread/encoders $(TABLES)/one/
	.venv/bin/acssm $(AT_BEST) $(SPOKEN) --methods $(METHODS),lag-covariance --seeds 0,1,2 --out $(TABLES)/one \
	    --set support_sources=one finetuning=false $(SHORT)
	.venv/bin/acssm $(AT_BEST) $(ESC10) --methods mel-stats,supervised,acoustic-ssm1 --protocol inductive-recording \
	    --set finetuning=false --out $(TABLES)/inductive
	$(call keep,esc10,metrics)
	$(call keep,spread,metrics/spoken-digits/spread)
	$(call keep,one,metrics/spoken-digits/one)
	$(call keep,inductive,metrics/inductive)
keep = mkdir -p figures/$(2) && cd $(TABLES)/$(1) && find . -name metrics.json | tar cf - -T - | tar xf - -C $(CURDIR)/figures/$(2)

# The thesis where it can win and lose: all of the above, then what was tried besides on the digits, and embedders whose
# files are at hand: make thesis DATA=... DIGITS=... EMBEDDERS=mn04,birdnet. An interrupted one goes on.
EMBEDDERS ?=
VARIANTS := pooling=products sequence=mamba negatives=same-source
thesis: tables
	for variant in $(VARIANTS); do for rule in spread one; do \
	    there=$(TABLES)/$$variant/$$rule; mkdir -p $$there; \
	    [ $$rule = spread ] || cp -R $(TABLES)/$$variant/spread/encoders $$there/; \
	    nets=acoustic-ssm1; case $$variant in negatives=*) nets=acoustic-ssm1,adapted-cnn; esac; \
	    .venv/bin/acssm $(AT_BEST) $(SPOKEN) --methods $$nets --seeds 0,1,2 --out $$there \
	        --set support_sources=$$rule finetuning=false $$variant $(SHORT) || exit 1; \
	done; done
	[ -z "$(EMBEDDERS)" ] || for rule in spread one; do \
	    .venv/bin/acssm $(AT_BEST) $(SPOKEN) --methods $(EMBEDDERS) --out $(TABLES)/$$rule \
	        --set support_sources=$$rule $(SHORT) || exit 1; done
	[ -z "$(EMBEDDERS)" ] || .venv/bin/acssm $(AT_BEST) $(ESC10) --methods $(EMBEDDERS) --out $(TABLES)/esc10
	for variant in $(VARIANTS); do \
	    mkdir -p figures/metrics/thesis/$${variant#*=} && cp -R $(TABLES)/$$variant/* figures/metrics/thesis/$${variant#*=}; done
	find figures/metrics/thesis -type f ! -name metrics.json -delete && find figures/metrics/thesis -type d -empty -delete
	$(call keep,esc10,metrics)
	$(call keep,spread,metrics/spoken-digits/spread)
	$(call keep,one,metrics/spoken-digits/one)
	.venv/bin/python -m tools.tables

# The tables of docs/ again from the committed records; whoever measures anew runs this.
docs-tables: $(STAMP)
	.venv/bin/python -m tools.tables

# The figures of README and docs/: the architecture, the panels in a browser, and what the committed records show.
figures: $(STAMP)
	.venv/bin/python -m tools.architecture figures/architecture.png
	.venv/bin/acssm report figures/metrics --out build/report
	cp build/report/esc50_best_transductive_accuracy.png build/report/esc50_best_transductive_shots.png figures/
	cp build/report/synthetic-phrases_quick_transductive_confusion.png figures/demo_confusion.png
	mkdir -p build/screenshots && ACSSM_SCREENSHOTS=$(CURDIR)/build/screenshots $(MAKE) test-browser
	cd build/screenshots && cp panel_quiz.png panel_spectrogram.png panel_kernel.png panel_embedding.png panel_listening.png ../../figures/

# Fast against plain, every row measured now; 12 to 30 minutes on two cores that do nothing else. docs/speed.md
# quotes the files. A GPU has a benchmark of its own: .venv/bin/python benchmarks/pretraining_speed.py --device cuda
bench: $(STAMP)
	.venv/bin/python benchmarks/bench.py --json figures/bench.json

# Cost against length, clips, batch, widths and runs at a time.
scaling: $(STAMP)
	.venv/bin/python benchmarks/scaling.py --figure figures/scaling.png --json figures/scaling.json

# Pins for every platform, without naming an index: see constraints.txt.
lock:
	uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
	    --no-emit-find-links --all-extras pyproject.toml -o constraints.txt

clean:
	rm -rf .venv runs build *.egg-info .pytest_cache
