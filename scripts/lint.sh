# make lint: style, types, generated files and house rules. Changes nothing.
cd "$(dirname "$0")/.."
. scripts/setup.sh
prepare_venv
install_runtime
install_development
DATA_DIR=$(mktemp -d)
export DATA_DIR
trap 'rm -rf "$DATA_DIR"' EXIT
failed=

# check <what> <command ...>: prints the command's output only when it fails.
check() {
    what=$1
    shift
    if output=$("$@" 2>&1); then
        printf 'ok      %s\n' "$what"
    else
        printf '%s\nFAILED  %s\n' "$output" "$what"
        failed=yes
    fi
}

# Names, labels and titles reach the page as text only.
no_markup_from_strings() {
    ! grep -rnE 'innerHTML|outerHTML|insertAdjacentHTML|document\.write' static/js templates
}

deployment() {
    BEHIND_TLS_PROXY=1 .venv/bin/python manage.py check --deploy --fail-level WARNING
}

check "ruff check" .venv/bin/ruff check .
check "ruff format" .venv/bin/ruff format --check .
check "mypy" .venv/bin/mypy
check "frames are as generated" .venv/bin/python manage.py protocol --check
check "migrations are complete" .venv/bin/python manage.py makemigrations --check --dry-run
check "deployment check" deployment
check "no markup from strings" no_markup_from_strings
if have_node; then
    install_node
    check "tsc" npx --no-install tsc -p tsconfig.json
    check "vendored files" node scripts/vendor.mjs --check
else
    echo "skipped tsc and vendored files: Node is not installed"
fi
[ -z "$failed" ]
