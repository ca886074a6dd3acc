"""The web server's request loop: a gunicorn worker on gevent that knows nothing of the application."""
