"""Import and export: Hugging Face folders, our own safetensors folders, and one readable Python file.

Imported files are untrusted: `tensors` validates headers before reading weights, `tokens` and `architectures` read only
known keys of JSON files. Nothing is unpickled, no archive is opened, and nothing large is allocated before it is checked.
"""
