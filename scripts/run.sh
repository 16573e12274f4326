# make run: whatever is missing, then the server in this very process.
cd "$(dirname "$0")/.."
# Ctrl-C while installing is no error. Anything half done is found and redone by the next run.
trap 'echo; exit 0' INT
. scripts/setup.sh
prepare_venv
install_runtime
exec .venv/bin/python manage.py serve
