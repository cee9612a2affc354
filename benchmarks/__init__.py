"""The figures that MLFoundry holds, each beside what the machine gives for the same work without a tracker.

``python -m benchmarks`` measures and prints them all; ``--quick`` takes less than a minute, ``--only NAME`` one of
them. A family of measurements is a file; what a line of the table means stands in the docstring of its function.
No test runs these: how fast a shared machine is says nothing about whether the code is right.
"""
