"""The selective scan: its definition, fast backends for CPU and GPU, and the choice between them.

Only tensors in and out; the layers that call the scan live in ``encoders``.
"""
