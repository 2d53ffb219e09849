"""Following an image through one forward pass: what dimensions count, and what units see."""
