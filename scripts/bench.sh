# make bench: measures, and keeps the results as JSON.
cd "$(dirname "$0")/.."
. scripts/setup.sh
prepare_venv
install_runtime
install_development
# Options by a variable: make bench ARGS="--quick --only latency"
# shellcheck disable=SC2086
exec .venv/bin/python benchmarks/run.py ${ARGS:-}
