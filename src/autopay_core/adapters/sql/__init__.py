"""
The posting store on SQL databases, as far as they are alike; not public.

Imports: nothing of the package.

From low to high: `words` (what a database is asked to do), `schema`, `rows`
(values as rows), `methods` (one text for blocking and awaitable stores),
`reads` and `commit` (what a store does), `store` (the stores' base). SQLite
and PostgreSQL stand on it in `adapters.sqlite` and `adapters.postgres`;
`postgres_words` and `postgres_sources` are the latter's.
"""
