/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Distinct values counted in fixed memory: HyperLogLog (Flajolet et al. 2007) with 512 registers,
 * and linear counting for small sets. The sum of the registers' weights and the number of empty
 * ones are kept as registers rise, so that an estimate costs a table look-up or one division.
 */
#ifndef PROCWIRE_DISTINCT_H
#define PROCWIRE_DISTINCT_H

#include "compiler.h"
#include "event.h"
#include "linear_count.h"

/* bcc has no constant data: its program looks the table up in a map. */
#ifndef LINEAR_COUNT
#define LINEAR_COUNT(zeros) linear_count[zeros]
#endif

struct distinct {
	__u64 sum; /* over registers, 2^(32 - rank) */
	__u32 zeros; /* registers that are zero */
	__u32 excused; /* how many of the values are not to be told */
	__u8 rank[DISTINCT_REGISTERS];
};

/* The finalizer of splitmix64 (Steele, Lea, Flood 2014). */
static __always_inline __u64 mix64(__u64 x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	x ^= x >> 31;
	return x;
}

#define GOLDEN_RATIO 0x9e3779b97f4a7c15ULL
#define GOLDEN_RATIO_32 0x9e3779b9U

/* The position of the highest one bit, counted from 1; 0 for 0. Spelt out because clang 14 crashes
 * on __builtin_clzll for BPF. */
GLOBAL_SUBPROGRAM __u32 bit_length(__u64 x)
{
	__u32 length = 0;

	FIXED_ROUNDS
	for (__u32 half = 32; half > 0; half /= 2) {
		if (x >> half) {
			x >>= half;
			length += half;
		}
	}
	return length + (x != 0);
}

/* The bits of a hash that do not choose the register; a rank is one more than their leading zeros. */
#define REST_BITS (64 - DISTINCT_BITS)

/* Without branches, since the verifier walks both sides of each. All numbers are below 2^63. */
static __always_inline __u64 is_below(__u64 number, __u64 limit)
{
	return (number - limit) >> 63;
}

static __always_inline __u64 lesser(__u64 one, __u64 other)
{
	return other + (-is_below(one, other) & (one - other));
}

/* 2^(32 - rank), and 1 beyond. */
static __always_inline __u64 distinct_weight(__u64 rank)
{
	return (1ULL << 32) >> rank | is_below(32, rank);
}

static __always_inline void distinct_reset(struct distinct *set)
{
	__u64 *word = (__u64 *)set->rank;

	FIXED_ROUNDS
	for (int i = 0; i < DISTINCT_REGISTERS / 8; i++)
		word[i] = 0;
	set->sum = (__u64)DISTINCT_REGISTERS << 32;
	set->zeros = DISTINCT_REGISTERS;
	set->excused = 0;
}

/* Whether a hash would raise its register, without counting its leading zeros. */
static __always_inline int distinct_is_new(const struct distinct *set, __u64 hash)
{
	__u32 rank = set->rank[hash & (DISTINCT_REGISTERS - 1)];

	return rank <= REST_BITS && hash >> DISTINCT_BITS >> (REST_BITS - rank) == 0;
}

static __always_inline __u32 distinct_rank(__u64 hash)
{
	return REST_BITS + 1 - bit_length(hash >> DISTINCT_BITS);
}

/* Returns whether a register rose, which only a value not seen before can do. */
static __always_inline __u64 distinct_add(struct distinct *set, __u64 hash, __u64 rank)
{
	__u32 index = hash & (DISTINCT_REGISTERS - 1);
	__u64 before = set->rank[index];
	__u64 rises = is_below(before, rank);

	/* LLVM 19 makes a branch of each use of what it knows to be 0 or 1. */
	VISIBLE(rises);
	set->zeros -= rises & is_below(before, 1);
	set->sum -= -rises & (distinct_weight(before & 63) - distinct_weight(rank & 63));
	set->rank[index] = before + (-rises & (rank - before));
	return rises;
}

GLOBAL_SUBPROGRAM __u32 estimate_of(__u64 sum, __u64 zeros)
{
	__u64 raw;

	/* DISTINCT_SCALE / sum <= DISTINCT_SMALL, without dividing. */
	if (sum * (DISTINCT_SMALL + 1) > DISTINCT_SCALE && zeros > 0) {
		VISIBLE(zeros);
		if (zeros <= DISTINCT_REGISTERS)
			return LINEAR_COUNT(zeros);
	}
	raw = sum ? DISTINCT_SCALE / sum : 0;
	return raw > 0xffffffff ? 0xffffffff : raw;
}

static __always_inline __u32 distinct_estimate(const struct distinct *set)
{
	__u64 estimate = estimate_of(set->sum, set->zeros);

	return estimate - lesser(set->excused, estimate);
}

#endif
