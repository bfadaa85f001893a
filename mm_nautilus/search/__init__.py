"""Search for parameters out of sample: the space, the windows, the objectives, and whether the result is luck."""
