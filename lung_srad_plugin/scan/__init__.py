"""The selective scan: its definition, fast backends for CPU and GPU, and the choice between them."""
