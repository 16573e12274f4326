# make test: every test. PULSEBOARD_REQUIRE_ALL=1 makes a skipped browser, PostgreSQL, Redis or
# JavaScript test a failure.
cd "$(dirname "$0")/.."
. scripts/setup.sh
prepare_venv
install_runtime
install_development
failed=
report=

# note <what> <result>
note() {
    report="$report$(printf '  %-18s %s' "$1" "$2")
"
}

# check <what> <command ...>
check() {
    what=$1
    shift
    if "$@"; then
        note "$what" passed
    else
        failed=yes
        note "$what" FAILED
    fi
}

if have_node; then
    install_node
fi
.venv/bin/python -m tests.support.chromium --install || true
check "Python tests" .venv/bin/python -m pytest -m "not browser"
# A run of their own: Playwright keeps an event loop in the main thread, which others cannot share.
check "browser tests" .venv/bin/python -m pytest -m browser
if have_node; then
    check "JavaScript tests" node --test tests/js/*.test.js
elif [ "${PULSEBOARD_REQUIRE_ALL:-}" = 1 ]; then
    failed=yes
    note "JavaScript tests" "FAILED (Node is not installed)"
else
    note "JavaScript tests" "skipped (Node is not installed)"
fi
printf '\n%s' "$report"
[ -z "$failed" ]
