"""The Train tab: the form, starting and following runs, importing and exporting models."""
