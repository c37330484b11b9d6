"""
For integrators: contract kit, faulty gateways, simulator, killed processes.

Holds: nothing itself. Imports: nothing.
"""
