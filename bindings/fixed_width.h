/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What <linux/types.h> defines for kernel/event.h, spelt for cffi, which reads no includes. The C
 * compiler sees the real header and refuses a width that differs. */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
