/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Has a program (type kprobe) run whenever a process reaches an offset of a file, whatever path led it
 * there. pmu: the number of the kernel's uprobes. Returns a descriptor, which detaches when it is
 * closed, or a negative errno. */
int entry_attach(int program, const char *path, unsigned long long offset, unsigned int pmu);
