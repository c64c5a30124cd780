"""The Batch and Tokenizer tabs."""
