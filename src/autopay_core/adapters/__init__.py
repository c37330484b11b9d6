"""
Implementations of the ports, one module each.

Imports: nothing of the package.

`import autopay_core` loads none of them; what one needs beyond the
distribution's own dependencies is an extra of the same name.
"""
