"""How fast dspsep is beside its peers, measured so that the figures can be believed.

``python -m benchmarks run`` measures and writes ``benchmarks/results/*.json``; ``python -m benchmarks
report`` writes ``docs/benchmarks.md``, every figure from those files. `harness` holds the rules of measuring,
`suites` what is measured.
"""
