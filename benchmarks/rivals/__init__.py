"""Programs that broadcast with what others use; benchmarks/systems.py starts them."""
