"""The page: forms, tabs and components. Everything they show is computed below this package."""
