"""The web server: request limits, sessions, uploads, health checks."""
