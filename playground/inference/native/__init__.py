"""The decode step in C, used if there is a C compiler and the model is supported."""
