# make bench: measures, and keeps the results as JSON.
cd "$(dirname "$0")/.."
. scripts/setup.sh
prepare_venv
install_runtime
install_development
exec .venv/bin/python benchmarks/run.py
