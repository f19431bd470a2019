"""The scan on a CPU as numba kernels.

``backend`` holds the functions that are called from outside; the other modules are parts of the kernels.
"""

from lung_srad_plugin.scan.cpu.backend import cross_scan_cpu, cross_scan_projected_cpu, selective_scan_cpu

__all__ = ["cross_scan_cpu", "cross_scan_projected_cpu", "selective_scan_cpu"]
