"""The model core: one small transformer, every classic and modern choice an axis of it, used by every tab and command."""
