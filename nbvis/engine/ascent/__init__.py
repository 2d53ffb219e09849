"""Gradient ascent: objectives, image parameters, transforms, and the runs that climb."""
