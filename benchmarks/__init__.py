"""What Pulseboard is fast enough for: measured, kept, never asserted. See docs/benchmarks.md."""
