"""The teacher's desk: one page for the host, behind the host's password."""
