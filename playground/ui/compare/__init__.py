"""The Compare tab: races, comparisons of runs, and reports."""
