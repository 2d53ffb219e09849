# `make demo` and `make test` need python3 >= 3.11 with venv and pip; what they install goes into .venv, but for Chromium.
PYTHON ?= python3
BIN := .venv/bin
PARTS := environment ruff pyright python javascript browser notebooks
# Two at a time, as the smallest machine that they run on has cores, with a thread each.
ABREAST := -n 2
python browser notebooks: export OMP_NUM_THREADS = 1
heading = @printf '\n== %s: %s\n' "$@" $(1)

.PHONY: demo test bench gpu cuda clean chromium $(PARTS)
.NOTPARALLEL:

# The files .venv/demo, .venv/test and .venv/bench mark what is installed; a change of pyproject.toml outdates them.
demo: .venv/demo
	$(BIN)/nbvis demo $(ARGS)

test: $(PARTS)
	@printf '\n%s: all passed\n' "$(PARTS)"

environment: .venv/test chromium
	$(call heading,"what the tests run with")
	@$(BIN)/pip freeze --exclude-editable | grep -E "^(anywidget|ipykernel|jupyterlab|playwright|torch|torchvision)=="
	@printf '%s, node %s\n' "$$($(BIN)/python --version)" "$$($(BIN)/node --version)"

# Debian's own where we may install it, else Playwright's.
chromium: .venv/test
	@command -v chromium || if [ "$$(id -u)" = 0 ] && grep -qx ID=debian /etc/os-release; \
	then apt-get update -q && apt-get install -qy chromium; else $(BIN)/playwright install chromium; fi

ruff:
	$(call heading,"style and formatting of the Python code")
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

pyright:
	$(call heading,"types of the Python code")
	$(BIN)/pyright

python:
	$(call heading,"engine sessions widgets and packaging with their doctests")
	$(BIN)/python -m pytest $(ABREAST) --ignore=tests/browser

javascript:
	$(call heading,"tests of js/ by node and its types by tsc")
	@ls tests/js/*.test.js >/dev/null  # node calls it a success to find none
	$(BIN)/node --test tests/js/*.test.js
	$(BIN)/node .venv/typescript/node_modules/typescript/bin/tsc -p tests/js

browser:
	$(call heading,"JupyterLab in a real Chromium")
	@$(BIN)/python -m pytest $(ABREAST) tests/browser || { \
	printf '\n== %s: what failed above once more, alone; twice is a failure\n' "$@"; \
	$(BIN)/python -m pytest -n 0 --last-failed --last-failed-no-failures none tests/browser; }

notebooks:
	$(call heading,"every notebook gives its stored output again")
	$(BIN)/python -m pytest $(ABREAST) --dist loadfile --nbval --timeout 900 notebooks

bench: .venv/bench
	$(BIN)/python -m tests.bench.ascent
	$(BIN)/python -m tests.bench.attribution
	$(BIN)/python -m tests.bench.dreams
	$(BIN)/python -m tests.bench.inversion
	$(BIN)/python -m tests.bench.statistics

gpu: .venv/test
	$(call heading,"the engine and the benches on CUDA")
	@found=$$($(BIN)/python -c "import torch; print(torch.cuda.is_available())") && \
	if [ "$$found" = True ]; then $(MAKE) cuda; else echo "There is no CUDA device here, so nothing was run on one."; fi

cuda: export NBVIS_DEVICE = cuda
cuda: .venv/test .venv/bench
	$(BIN)/python -m pytest tests/engine
	$(MAKE) bench

.venv/demo: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -e ".[demo]"
	@touch $@

.venv/test: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -e ".[demo,test]"
	$(BIN)/npm install --prefix .venv/typescript --no-audit --no-fund typescript@7 axe-core@4
	@touch .venv/demo $@

# The own requirements of the first three ask for a torch of 2020, so they come without them; horama brings a package
# `tests`, which would be found instead of ours.
.venv/bench: .venv/demo
	$(BIN)/pip install -e ".[demo,bench]"
	$(BIN)/pip install --no-deps torch-lucent==0.1.8 torch-dreams==4.0.0 kornia==0.4.1 horama==0.3.0
	rm -rf "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"/tests
	@touch $@

clean:
	rm -rf .venv artefacts build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
