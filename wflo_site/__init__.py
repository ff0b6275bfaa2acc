"""The wiring: settings, addresses, the hot doors' table, Celery, and the services that `make up` starts."""
