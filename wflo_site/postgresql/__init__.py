"""Django's own PostgreSQL engine, which reads times in C. A folder of its own, for Django looks for ``base`` in it."""
