# Sourced by the other scripts: makes .venv and installs what a requirements file pins, once.
# A file is installed again when it differs from the copy kept in .venv at the last success.

set -eu
announced=
unset PYTHONHOME || true

stop() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Prints "3.11" for a Python that really runs (a pyenv shim may exist and fail), else nothing.
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

new_enough() {
    case $1 in
    3.[0-9] | 3.10 | [012].*) return 1 ;;
    [0-9]*.[0-9]*) return 0 ;;
    *) return 1 ;;
    esac
}

# Sets `python` to a command that is Python 3.11 or newer; stops with a sentence if there is none.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        python=$PYTHON
        version=$(version_of "$python")
        new_enough "$version" && return
        found=${version:+Python $version}
        stop "PYTHON=$PYTHON is ${found:-not a Python that runs};" \
            "Pulseboard needs Python 3.11 or newer: name another one."
    fi
    old=
    for python in python3.14 python3.13 python3.12 python3.11 python3 python; do
        command -v "$python" >/dev/null 2>&1 || continue
        version=$(version_of "$python")
        new_enough "$version" && return
        old=${old:-${version:+only $version}}
    done
    stop "Pulseboard needs Python 3.11 or newer and found ${old:-none}:" \
        "install one (https://www.python.org/downloads/ or your system's packages)," \
        "or name it: make run PYTHON=/path/to/python3.12"
}

make_venv() {
    find_python
    "$python" -c 'import ensurepip, venv' 2>/dev/null || stop "$python cannot make virtual" \
        "environments: install its venv package (on Debian and Ubuntu:" \
        "apt install python$version-venv) and run this again."
    # The Python behind it: .venv itself may be the active environment.
    python=$("$python" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))')
    echo "Installing packages (once, about a minute) ..."
    announced=yes
    rm -rf .venv
    "$python" -m venv .venv >&2 || stop "The virtual environment .venv could not be made (above):" \
        "see that this folder is writable and the disk is not full."
}

# An environment that is there is kept, unless PYTHON= asks for another version.
have_venv() {
    [ -x .venv/bin/python ] || return 1
    [ -n "${PYTHON:-}" ] || return 0
    [ "$(version_of .venv/bin/python)" = "$(version_of "$PYTHON")" ]
}

prepare_venv() {
    have_venv || make_venv
}

# install <requirements file> <what to say while it takes its time>
install() {
    stamp=.venv/installed-$1
    if cmp -s "$1" "$stamp"; then
        return
    fi
    .venv/bin/python -c 'import pip' 2>/dev/null || make_venv
    [ -n "$announced" ] || printf '%s\n' "$2"
    announced=
    if ! PIP_USER=0 .venv/bin/python -m pip install --disable-pip-version-check --no-input \
        --progress-bar off --require-hashes -r "$1" >.venv/pip.log 2>&1; then
        tail -n 12 .venv/pip.log >&2
        stop "The packages could not be installed (the end of .venv/pip.log is above):" \
            "see that this machine reaches the package index, then run this again."
    fi
    cp "$1" "$stamp"
}

install_runtime() {
    install requirements.txt "Installing packages (once, about a minute) ..."
}

install_development() {
    install requirements-dev.txt "Installing development packages (once) ..."
}

have_node() {
    command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1
}

install_node() {
    stamp=node_modules/installed-package-lock.json
    if cmp -s package-lock.json "$stamp"; then
        return
    fi
    echo "Installing JavaScript development packages (once) ..."
    npm ci --no-audit --no-fund --loglevel=error ||
        stop "npm ci failed (above): see that this machine reaches the package index."
    cp package-lock.json "$stamp"
}
