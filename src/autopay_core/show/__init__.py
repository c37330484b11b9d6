"""
How values show themselves; the modules are imported by their names.

Holds: `tables`, `sentences` (notices), `letters` (what payers read),
`pictures` (SVG) and `projection` (what an auto-pay will pay). Imports:
nothing.
"""
