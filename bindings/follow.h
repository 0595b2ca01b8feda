/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Whether the kernel takes programs at its functions. cffi reads this file, so it includes nothing. */

/* Attaches an empty program at the function's entry, or at its end, and detaches it. function: its id
 * in the kernel's BTF. 0, or a negative errno. */
int follow_function(unsigned int function, int at_end);
