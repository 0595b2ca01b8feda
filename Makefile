# Targets for a fresh Debian machine; each installs what it needs first (packaging/setup.sh).
PYTHON := .venv/bin/python
STOCK_KERNELS := 5.10,6.1,6.12,newest
MULTIARCH = $(shell gcc -print-multiarch)

.PHONY: demo test scenarios suricata-test vm-test bench lint setup-demo setup-test setup-vm setup-bench clean

demo: setup-demo
	$(PYTHON) packaging/demo.py

test: setup-test
	$(PYTHON) -m pytest

scenarios: setup-test
	$(PYTHON) -m pytest -s tests/scenarios tests/test_telemetry_corpus.py --scenarios all

suricata-test: setup-test
	$(PYTHON) -m pytest tests/suricata --recordings all

vm-test: setup-vm
	$(PYTHON) -m pytest tests/vm --kernels $(STOCK_KERNELS)

bench: setup-bench
	$(PYTHON) -m pytest bench --benchmark-only
	$(PYTHON) bench/side_by_side.py
	$(PYTHON) bench/sensor_storm.py
	$(PYTHON) bench/sensor_million.py
	$(PYTHON) bench/sensor_bulk.py
	$(PYTHON) bench/suricata_cost.py

lint: setup-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/mypy $(wildcard bindings/*.py)
	clang -target bpf -Wall -Werror -fsyntax-only -I/usr/include/$(MULTIARCH) kernel/*.bpf.c
	gcc -Wall -Werror -fsyntax-only bindings/drain.c bindings/follow.c bindings/entry.c

setup-demo setup-test setup-vm setup-bench: setup-%:
	@packaging/setup.sh $*

clean:
	rm -rf .venv .cache build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -rf *.egg-info userspace/*.egg-info
	rm -f userspace/procwire/*.so userspace/procwire/*.o userspace/procwire/_event.c userspace/procwire/_libbpf.c
	find userspace tests bench bindings packaging -name __pycache__ -prune -exec rm -rf {} +
