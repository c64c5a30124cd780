"""What protects and repairs the web server: limits, sessions, uploads, health."""
