"""The side-by-side benchmark: what Benchmarks/compare runs and Benchmarks/report reads."""
