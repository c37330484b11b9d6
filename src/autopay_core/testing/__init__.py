"""For integrators: contract kit, simulator, strategies."""
