# make test: every test, and those that use a database on SQLite and on PostgreSQL.
# PULSEBOARD_REQUIRE_ALL=1 makes a skipped browser, PostgreSQL, Redis, shared-data or JavaScript
# test a failure.
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

unavailable=69 # EX_UNAVAILABLE of sysexits.h: tests/support/database.py found no PostgreSQL

# check <what> <command ...>
check() {
    what=$1
    shift
    status=0
    "$@" || status=$?
    case $status in
    0) note "$what" passed ;;
    "$unavailable") note "$what" "skipped (the sentence is above)" ;;
    *)
        failed=yes
        note "$what" FAILED
        ;;
    esac
}

if have_node; then
    install_node
fi
.venv/bin/python -m tests.support.chromium --install || true
check "Python, SQLite" .venv/bin/python -m pytest -m "not browser"
# A run of their own: Playwright keeps an event loop in the main thread, which others cannot share.
check "browser, SQLite" .venv/bin/python -m pytest -m browser
# Once more what uses a database and has not run on both already.
check "all on PostgreSQL" .venv/bin/python -m pytest --database postgresql
if have_node; then
    check JavaScript node --test tests/js/*.test.js
elif [ "${PULSEBOARD_REQUIRE_ALL:-}" = 1 ]; then
    failed=yes
    note JavaScript "FAILED (Node is not installed)"
else
    note JavaScript "skipped (Node is not installed)"
fi
printf '\n%s' "$report"
[ -z "$failed" ]
