"""The decoding step in C, used where a compiler is found and the model is one that it knows."""
