# make lock: pins the newest allowed packages, for every Python and system at once.
cd "$(dirname "$0")/.."
if [ -x .venv/bin/uv ]; then
    uv=.venv/bin/uv
else
    uv=$(command -v uv) || {
        echo "make lock needs uv: install it (https://docs.astral.sh/uv/) and run this again." >&2
        exit 1
    }
fi
for name in requirements requirements-dev; do
    UV_CUSTOM_COMPILE_COMMAND="make lock" "$uv" pip compile --quiet --universal \
        --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --upgrade --output-file $name.txt $name.in || exit 1
done
