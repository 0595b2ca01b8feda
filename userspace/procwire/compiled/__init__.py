"""How functions become kernels: the compiler, its cache, memory, and what all of them use."""
