"""Makes the two tokens a benchmark needs in one process: prints one to read, one to publish."""

from __future__ import annotations


def main() -> None:
    import django

    django.setup()
    from metrics import access

    for scope in ("read", "publish"):
        _, plain = access.make_token(f"benchmark {scope}", scope)
        print(plain)


if __name__ == "__main__":
    main()
