# make test: every test, and those that use a database on SQLite and on PostgreSQL.
# TEST_PROCESSES= says how many tests run at once, 0 for one after the other. Many wait more than
# they compute, so by default it is one more than there are processors.
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
processes=${TEST_PROCESSES:-$(($(getconf _NPROCESSORS_ONLN) + 1))}

# run <what> <pytest's arguments ...>
run() {
    name=$1
    shift
    check "$name" .venv/bin/python -m pytest -n "$processes" --dist worksteal "$@"
}

# Browser tests in runs of their own: Playwright keeps an event loop in the main thread, which
# others cannot share. On PostgreSQL once more what uses a database and did not run on both.
with_browser="tests/test_*_browser.py tests/test_end_to_end.py tests/test_support.py"
run "Python, SQLite" -m "not browser"
run "browser, SQLite" -m browser $with_browser
run "Python, PostgreSQL" -m "not browser" --database postgresql
run "browser, PostgreSQL" -m browser --database postgresql $with_browser
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
