# Every target sets up what it needs in a private virtual environment (VENV); nothing else on the machine is touched.
# Wanted: make, Python 3.10 or newer with venv, and for full speed a C++17 compiler.

VENV ?= .venv
PYTHON ?= python3
PIP_FLAGS ?= -q
BIN := $(VENV)/bin
TEST_JOBS ?= auto
PICTURE ?= nerf2mesh/assets/demo/duck.png
BUILD_FILES := pyproject.toml setup.py constraints.txt nerf2mesh/kernels/build.py $(shell find csrc -type f)

export PIP_DISABLE_PIP_VERSION_CHECK = 1
.DEFAULT_GOAL := help
.PHONY: blender-extension bench-small kill-test campaign test-data cluster-test wheelhouse help demo test examples docs fuzz gltf-validator check-blender test-slow cuda sanitize gpu-check gpu-rehearsal wheel lint bench train-prior gpu-train notebook three clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.ready  ## One picture becomes a mesh, a turntable and a report in outputs/demo
	$(BIN)/nerf2mesh experiment=demo input.image=$(PICTURE) output_dir=outputs/demo

# Bytecode is kept: else each of the many processes that tests start would compile the library anew.
test test-slow: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/.ready-dev  ## The tests, without the slow ones (TEST_JOBS=1: in one process)
	$(BIN)/python -m pytest -m "not slow" -n $(TEST_JOBS) --maxprocesses 8 --dist worksteal $(PYTEST_FLAGS)

gltf-validator:  ## Khronos' validator from npm, used by the tests of exported files
	npm install --no-audit --no-fund --silent --prefix .cache gltf-validator@2.0.0-dev.3.10

check-blender: $(VENV)/.ready  ## Every format and the add-on in Blender, headless (N2M_BLENDER, bpy in .cache/bpy, or blender)
	@test -n "$$N2M_BLENDER" -o -x .cache/bpy/bin/python || command -v blender >/dev/null || \
		{ $(PYTHON) -m venv .cache/bpy && .cache/bpy/bin/python -m pip install $(PIP_FLAGS) bpy; } || \
		{ rm -rf .cache/bpy; echo "error: pip offers no bpy for $$($(PYTHON) --version); install blender or set N2M_BLENDER"; exit 2; }
	$(BIN)/python tests/mesh/blender_check.py
	$(BIN)/python -m tests.blender.check

test-slow: $(VENV)/.ready-dev  ## All tests
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

cuda: $(VENV)/.ready  ## Compile the CUDA library (nvcc on the PATH) and print what its kernels use
	$(BIN)/python nerf2mesh/kernels/build.py --cuda --resource-report

sanitize: $(VENV)/.ready-dev  ## The CPU library under Address-, UndefinedBehavior- and ThreadSanitizer
	$(BIN)/python -m tests.kernels.sanitize $(SANITIZE_FLAGS)

GPU_PYTHON ?= $$(for p in $(BIN)/python $(PYTHON); do $$p -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null && echo $$p && exit; done; [ -x $(BIN)/python ] && echo $(BIN)/python || echo $(PYTHON))
GPU_PARTS ?= check speed clock train

gpu-check:  ## On a CUDA machine, no network: the parts check, speed, clock and train (GPU_PARTS="check" for one; GPU_FLAGS=--plan lists)
	@python=$(GPU_PYTHON); code=0; for part in $(GPU_PARTS); do $$python -m benchmarks.gpu $$part $(GPU_FLAGS) || code=$$?; done; exit $$code

gpu-rehearsal:  ## The same parts at toy sizes without a GPU: fails where something that can run here does not
	@python=$(GPU_PYTHON); code=0; for part in $(GPU_PARTS); do \
	$$python -m benchmarks.gpu $$part --device cpu --deadline-s 510 --output outputs/gpu-rehearsal || code=$$?; done; \
	$$python -m benchmarks.gpu check --only loop --device meta --output outputs/gpu-rehearsal/waits || code=$$?; exit $$code

blender-extension:  ## The Blender add-on (4.2 and later) as dist/nerf2mesh-VERSION.zip
	@$(PYTHON) integrations/build_blender.py dist

wheel: $(VENV)/.ready  ## A wheel in dist/
	$(BIN)/python -m pip wheel $(PIP_FLAGS) --no-deps -w dist .

lint: $(VENV)/.ready-dev  ## ruff's checks and formatting, pyright's types, the order of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

DATA ?= data

docs: $(VENV)/.ready-docs  ## The docs site in site/ (open site/index.html)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

FUZZ_S ?= 600

fuzz: $(VENV)/.ready-dev  ## Damaged files and settings, FUZZ_S=600 seconds a kind; fails on a traceback or a hang
	$(BIN)/python -m tests.fuzz $(FUZZ_S)

examples: $(VENV)/.ready-dev  ## All examples at tiny size
	$(BIN)/python -m pytest tests/test_examples.py

bench: $(VENV)/.ready-dev  ## The fidelity benchmark on three real meshes, which are fetched into DATA=data
	$(BIN)/nerf2mesh-bench fetch $(DATA) spot bob avocado
	$(BIN)/nerf2mesh-bench protocol=core objects=[spot,bob,avocado] seeds=[0] data_dir=$(DATA)

SMALL ?= outputs/bench/small
SMALL_PRESET ?= preview
SMALL_SET = $(if $(filter command environment,$(origin DATA)),protocol=objects data_dir=$(DATA) per_split=4,protocol=procedural-heldout n_objects=8)

bench-small: $(VENV)/.ready-dev  ## Eight objects, ten minutes on two cores: tables with intervals, SMALL/page.html (DATA=FOLDER: meshes with a manifest)
	$(BIN)/nerf2mesh-bench $(SMALL_SET) seeds=[0] presets=[$(SMALL_PRESET)] launch.workers=2 launch.threads=1 output_dir=$(SMALL)
	@echo "page: $(SMALL)/page.html"

test-data: $(VENV)/.ready-dev  ## Published digits of the metrics, on the real data in DATA=data (nerf2mesh-bench fetch data)
	N2M_DATA_DIR=$(abspath $(DATA)) $(BIN)/python -m pytest tests/evaluate/test_real_data.py $(PYTEST_FLAGS)

cluster-test: $(VENV)/.ready-dev  ## A sweep on a real SLURM on this machine (preempted and resumed), on Ray and joblib (Linux, root)
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt "submitit>=1.5" joblib ray
	$(BIN)/python -m tests.cluster .cache/cluster-test

KILL_EVERY_S ?= 60

KILL_LAUNCH ?= joblib ray slurm

kill-test: $(VENV)/.ready-dev  ## 200 objects by KILL_LAUNCH="joblib ray slurm" (slurm: Linux, root), a worker killed every KILL_EVERY_S=60 seconds: equal tables, nothing lost or doubled
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt $(filter-out local slurm,$(KILL_LAUNCH)) $(if $(filter slurm,$(KILL_LAUNCH)),"submitit>=1.5",joblib)
	$(BIN)/python -m tests.cluster.kill .cache/kill-test --launch $(KILL_LAUNCH) --every $(KILL_EVERY_S)

CAMPAIGN_S ?= 600

campaign: $(VENV)/.ready-dev  ## A tiny fit and a sweep killed, stopped, starved of disk ... at random for CAMPAIGN_S=600 seconds
	$(BIN)/python -m tests.campaign --seconds $(CAMPAIGN_S)

wheelhouse: $(VENV)/.ready  ## Wheels of the library and all it needs, for machines without network (EXTRAS=cluster,loggers)
	$(BIN)/python -m pip wheel $(PIP_FLAGS) -c constraints.txt -w wheelhouse ".$(if $(EXTRAS),[$(EXTRAS)])"
	@echo 'there: pip install --no-index --find-links wheelhouse "nerf2mesh$(if $(EXTRAS),[$(EXTRAS)])"'

train-prior: $(VENV)/.ready  ## Train the built-in prior again (hours on a CPU, resumable)
	$(BIN)/nerf2mesh-train-prior

MINUTES ?= 25
PACKAGED_PRIOR := $(wildcard nerf2mesh/priors/builtin/weights/*.safetensors)

gpu-train: $(VENV)/.ready  ## Train the built-in prior on a GPU for MINUTES=25 more, from the packaged weights (or OUT's state)
	$(BIN)/nerf2mesh-train-prior training=gpu minutes=$(MINUTES) weights=$(PACKAGED_PRIOR) output_dir=$(or $(OUT),outputs/gpu-prior)

notebook: $(VENV)/.ready-dev  ## Execute notebooks/quickstart.ipynb in place
	$(BIN)/jupyter-execute --inplace notebooks/quickstart.ipynb

THREE_VERSION ?= 0.187.0

three:  ## three.js from npm, bundled for the report's viewer into nerf2mesh/report/three
	npm install --no-audit --no-fund --silent --prefix .cache/three three@$(THREE_VERSION) esbuild@0.28.2
	cp nerf2mesh/report/three/entry.js .cache/three/entry.js
	.cache/three/node_modules/.bin/esbuild .cache/three/entry.js --bundle --minify --target=es2020 --format=iife \
		--global-name=THREE --legal-comments=eof --outfile=nerf2mesh/report/three/three.min.js
	cp .cache/three/node_modules/three/LICENSE nerf2mesh/report/three/LICENSE.txt

clean:  ## Remove what was built, but neither the environment nor results
	rm -rf build dist site *.egg-info .pytest_cache .ruff_cache nerf2mesh/kernels/*.so

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "error: no $(PYTHON); install Python 3.10 or newer, or say make PYTHON=..."; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "error: Python 3.10 or newer wanted, got $$($(PYTHON) --version); say make PYTHON=..."; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "error: no virtual environment could be made; install Python's venv (Debian: python3-venv)"; exit 2; }
	@command -v $${CXX:-g++} >/dev/null || command -v c++ >/dev/null || echo "note: no C++ compiler found; the slow torch twins will be used (Debian: apt-get install g++)"

$(VENV)/.ready: $(BUILD_FILES) | $(BIN)/python
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e .
	@touch $@

$(VENV)/.ready-docs: $(BUILD_FILES) | $(BIN)/python
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e ".[docs]"
	@touch $@ $(VENV)/.ready

$(VENV)/.ready-dev: $(BUILD_FILES) | $(BIN)/python
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e ".[dev]"
	@touch $@ $(VENV)/.ready
