# The commands of this house. Plain POSIX make and sh; the work is in scripts/*.sh.
# Variables given to make (HOST, PORT, DATA_DIR, PYTHON, ...) reach the scripts as environment.

help:
	@sed -n 's/^## //p' Makefile

## make run      start Pulseboard; prints the link to open (HOST=, PORT=, WORKERS=, DATA_DIR=, PYTHON=)
run:
	@sh scripts/run.sh

## make test     every test: Python and a real browser on both databases, JavaScript
test:
	@sh scripts/test.sh

## make lint     style, types, generated files, house rules; changes nothing
lint:
	@sh scripts/lint.sh

## make format   put the code in its style
format:
	@sh scripts/format.sh

## make bench    measure latency and throughput
bench:
	@sh scripts/bench.sh

## make lock     pin the newest packages that requirements*.in allow
lock:
	@sh scripts/lock.sh

## make clean    remove what was installed and cached; var/ with your data stays
clean:
	@rm -rf .venv node_modules staticfiles .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help run test lint format bench lock clean
