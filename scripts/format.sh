# make format: puts the Python code in its style.
cd "$(dirname "$0")/.."
. scripts/setup.sh
prepare_venv
install_development
.venv/bin/ruff check --quiet --fix-only .
.venv/bin/ruff format .
