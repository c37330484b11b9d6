"""
Implementations of the ports, one module each.

`import autopay_core` loads none of them; what one needs beyond the
distribution's own dependencies is an extra of the same name.
"""
