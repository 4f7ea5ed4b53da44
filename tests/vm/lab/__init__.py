"""The VM test lab: real Debian kernels in stock QEMU guests, and the truth about them from inside."""


class LabError(Exception):
    """Something in the lab itself failed; the text says what, on what, and what to do."""
