"""Models in and out: Hugging Face folders, our own safetensors folders, and one readable Python file.

What comes in is a stranger's: `tensors` reads weights without trusting their header, `tokens` and `architectures` take from
JSON only what they know. Nothing is unpickled, no archive is opened, and nothing large is allocated before it is checked.
"""
