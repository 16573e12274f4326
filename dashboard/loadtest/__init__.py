"""Load on a running server, as `manage.py loadtest` and the benchmarks make it: light clients."""
