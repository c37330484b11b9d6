"""
How a run happens; not public.

Imports: nothing of the package.

Flows are generators that yield requests and are sent the answers. From low to
high: `driving` (the loops), `requests` (what a flow may ask), `case` (what is
worked out once for a run), `planning`, `steps`, `telling`, `charging`,
`recovery`, `collecting`, `lanes`, `looking`, `sweeping`, `staff`, and
`dispatch`, where requests meet ports.
"""
