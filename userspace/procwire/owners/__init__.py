"""Whose a flow is, or was: claims of the kernel, asked by alerts and by records of other tools."""
