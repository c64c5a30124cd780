"""The user interface: forms, tabs and components. Computation is in the packages below."""
