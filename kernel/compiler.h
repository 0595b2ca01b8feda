/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What three compilers (clang for BPF, bcc's, and a test's) and the verifiers of ten years want said
 * of functions, loops and bounds.
 */
#ifndef PROCWIRE_COMPILER_H
#define PROCWIRE_COMPILER_H

/* linux/stddef.h makes a mere hint of it. */
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

/* Kept apart from its callers. The verifier walks a global function once, not once for each path of
 * a caller; but before 5.12 it gives one no pointers. */
#ifdef __bpf__
#define SUBPROGRAM static __attribute__((noinline))
#define GLOBAL_SUBPROGRAM __attribute__((noinline))
#elif !defined(SUBPROGRAM)
#define SUBPROGRAM static inline
#define GLOBAL_SUBPROGRAM static inline
#endif

/* In front of a loop that has as many rounds each time. Written out, such loops cost the verifier a
 * fifth of the instructions, and old ones refuse a loop that clang has laid out to fall into its own
 * head. bcc's programs, whose text is compiled anew at each start, keep them. */
#ifdef __bpf__
#define FIXED_ROUNDS _Pragma("clang loop unroll(full)")
#elif !defined(FIXED_ROUNDS)
#define FIXED_ROUNDS
#endif

/* Makes the compiler forget what it knows of a number, and make it here: it tests a bound that it
 * knows to hold, as the verifier has to see the test, and keeps arithmetic free of branches. */
#define VISIBLE(number) asm volatile("" : "+r"(number))

#endif
