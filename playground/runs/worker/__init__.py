"""Worker processes, which train runs and races."""
