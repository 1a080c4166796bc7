# The words for people and for CI alike. Each target makes what it needs.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
DEMO ?= demo
# A real dataset for two of the benchmarks; users need none.
REAL ?= ../shared/data
REAL_IMAGE := studyforrest/derivatives/fmriprep/sub-02/func/sub-02_task-oneback_run-1_desc-coreg_boldref.nii.gz
REAL_ATLAS := templateflow/tpl-MNI152NLin2009cAsym/tpl-MNI152NLin2009cAsym_res-02_atlas-Schaefer2018_desc-200Parcels7Networks_dseg.nii.gz

.PHONY: help demo test test-slow test-nilearn test-container check bench coverage descriptor lock clean
help:
	@echo "make demo        a simulated dataset in $(DEMO)/, and bidsmask run on it"
	@echo "make test        the tests, under 10 minutes on 2 processors"
	@echo "make test-slow   full counts of faults and fuzzing"
	@echo "make test-nilearn  nilearn's own tests with our names in the place of its own"
	@echo "make test-container  the image: built, run and compared; as root on Debian 12"
	@echo "make check       style, types, import floors, spelling"
	@echo "make bench       every benchmark, beside its peer"
	@echo "make descriptor  descriptor.json from the options"
	@echo "make lock        the newest packages for the image, in docker/*.txt"
	@echo "make clean       what the other targets made"

$(VENV)/.run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/.dev: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --editable '.[test,dev]'
	touch $@

$(VENV)/.nilearn: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --editable '.[test,nilearn-tests]'
	touch $@

demo: $(VENV)/.run
	$(BIN)/python -m bidsmask.demo $(DEMO)
	$(BIN)/bidsmask $(DEMO) $(DEMO)/derivatives/bidsmask participant \
		--space MNI152NLin2009cAsym --voxels \
		--atlas $(DEMO)/derivatives/truth/atlas/tpl-MNI152NLin2009cAsym_atlas-demo_dseg.nii.gz \
		--confounds simple scrubbing --high-pass 0.01 --low-pass 0.1
	$(BIN)/bidsmask $(DEMO) $(DEMO)/derivatives/bidsmask group

test: $(VENV)/.test
	$(BIN)/python -m pytest -q -m "not slow"

test-slow: $(VENV)/.test $(VENV)/.nilearn
	$(BIN)/python -m pytest -q -m slow
	$(BIN)/python ci/nilearn_tests.py --as-is

test-nilearn: $(VENV)/.nilearn
	$(BIN)/python ci/nilearn_tests.py

test-container:
	ci/container.sh

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

bench: $(VENV)/.test
	$(BIN)/python benchmarks/truth.py
	$(BIN)/python benchmarks/tsv.py
	$(BIN)/python benchmarks/indexing.py
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/group.py
	$(BIN)/python benchmarks/regions.py
	$(BIN)/python benchmarks/extractors.py --only "labels mean" "labels median" "labels variance" \
		"maps 64" "maps 64 everywhere" spheres "labels back"
	$(BIN)/python benchmarks/extractors.py --voxel-mm 3 --only "maps 1024"
	$(BIN)/python benchmarks/together.py
	$(BIN)/python benchmarks/mask_speed.py
	$(BIN)/python -m benchmarks.maskers
	@if [ -d $(REAL) ]; then set -x; \
		$(BIN)/python benchmarks/real.py $(REAL)/studyforrest $(REAL)/$(REAL_ATLAS); \
		$(BIN)/python benchmarks/bitflips.py $(REAL)/$(REAL_IMAGE); \
	else echo "no real data in $(REAL): real.py and bitflips.py are left out"; fi

coverage: $(VENV)/.test
	$(BIN)/coverage run -m pytest -q -m "not slow"
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

descriptor: $(VENV)/.run
	$(BIN)/python -c "from pathlib import Path; from bidsmask.app import descriptor; \
		Path('descriptor.json').write_text(descriptor.descriptor_text(), encoding='utf-8')"

# For Python 3.11 and later, on any platform; from the public index alone, whatever pip has here.
LOCK := $(BIN)/uv pip compile --quiet --no-config --upgrade --universal --python-version 3.11 \
	--generate-hashes --custom-compile-command "make lock"
lock: $(VENV)/.dev
	$(LOCK) --output-file docker/requirements.txt pyproject.toml
	$(BIN)/python -c "import tomllib; \
		print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" \
		| $(LOCK) --output-file docker/build-requirements.txt -

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
