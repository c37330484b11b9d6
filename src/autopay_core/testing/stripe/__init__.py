"""
A make-believe Stripe on loopback, for adapters and hosts to be tested with.

Holds: `FakeStripe`, `Mischief` and `Payment`. Imports: its modules. Needs the
extra ``stripe``: requests are held against the parameter types that the SDK
publishes, answers against its resource types, so that adapter and fake do not
agree in an error. It moves no money and is no proof about the company.
"""

from autopay_core.testing.stripe._books import Payment
from autopay_core.testing.stripe._server import FakeStripe, Mischief

__all__ = ["FakeStripe", "Mischief", "Payment"]
