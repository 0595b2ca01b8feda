/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Copies events from the rings into the caller's arrays without Python in between: first as they are,
 * one behind the other, then into rows as long as the longest of them, since most command lines are
 * short and one may have 4 KB. libbpf takes a sample as read even when the callback refuses it, so an
 * event is stored first and the reading stopped afterwards.
 */
#define _GNU_SOURCE
#include <bpf/libbpf.h>
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "drain.h"

/* What a quiet machine needs of a lane; a multiple of every page size. */
#define LANE_KEPT (64 << 10)

static size_t padded(size_t size)
{
	return (size + sizeof(size) - 1) & -sizeof(size);
}

static int store(void *context, void *data, size_t size)
{
	struct drain_lane *lane = context;
	char *entry = lane->memory + lane->used;

	if (size > lane->largest)
		size = lane->largest;
	memcpy(entry, &size, sizeof(size));
	memcpy(entry + sizeof(size), data, size);
	lane->used += sizeof(size) + padded(size);
	lane->count++;
	if (size > lane->longest)
		lane->longest = size;
	return lane->used + sizeof(size) + padded(lane->largest) <= lane->room ? 0 : -ENOBUFS;
}

void drain_rows(const struct drain_lane *lane, char *rows, size_t row_size)
{
	const char *entry = lane->memory;

	for (size_t i = 0; i < lane->count; i++, rows += row_size) {
		size_t size;

		memcpy(&size, entry, sizeof(size));
		memcpy(rows, entry + sizeof(size), size);
		memset(rows + size, 0, row_size - size);
		entry += sizeof(size) + padded(size);
	}
	/* Advice that is refused costs memory. */
	if (lane->used > LANE_KEPT)
		madvise(lane->memory + LANE_KEPT, lane->used - LANE_KEPT, MADV_DONTNEED);
}

struct ring_buffer *drain_open(struct drain_lane *lanes, size_t count)
{
	struct ring_buffer *rings = ring_buffer__new(lanes[0].map, store, &lanes[0], NULL);

	for (size_t i = 1; rings && i < count; i++) {
		int error = ring_buffer__add(rings, lanes[i].map, store, &lanes[i]);

		if (error) {
			ring_buffer__free(rings);
			errno = -error;
			return NULL;
		}
	}
	return rings;
}

void drain_close(struct ring_buffer *rings)
{
	ring_buffer__free(rings);
}

int drain_wake_by(struct ring_buffer *rings, int descriptor)
{
	struct epoll_event wanted = { .events = EPOLLIN };

	if (epoll_ctl(ring_buffer__epoll_fd(rings), EPOLL_CTL_ADD, descriptor, &wanted) < 0)
		return -errno;
	return 0;
}

int drain(struct ring_buffer *rings, struct drain_lane *lanes, size_t count, int timeout_ms)
{
	struct epoll_event ready;
	int result;
	int stored = 0;

	for (size_t i = 0; i < count; i++)
		lanes[i].used = lanes[i].count = lanes[i].longest = 0;
	if (timeout_ms != 0 &&
	    epoll_wait(ring_buffer__epoll_fd(rings), &ready, 1, timeout_ms) < 0)
		return -errno;
	/* All rings in the order of the lanes, whichever was ready. */
	result = ring_buffer__consume(rings);
	if (result < 0 && result != -ENOBUFS)
		return result;
	for (size_t i = 0; i < count; i++)
		stored += lanes[i].count;
	return stored;
}

/* A verifier's log comes as one message of any length, and its end is what tells: the tail is
 * kept. */
static char log_buffer[16384];
static size_t log_used;

static int log_message(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char *message;
	size_t size, kept, room = sizeof(log_buffer) - 1;
	int written;

	if (level == LIBBPF_DEBUG)
		return 0;
	written = vasprintf(&message, format, arguments);
	if (written < 0)
		return 0;
	size = (size_t)written < room ? (size_t)written : room;
	kept = log_used < room - size ? log_used : room - size;
	memmove(log_buffer, log_buffer + log_used - kept, kept);
	memcpy(log_buffer + kept, message + written - size, size);
	log_used = kept + size;
	log_buffer[log_used] = '\0';
	free(message);
	return 0;
}

void log_keep(void)
{
	libbpf_set_print(log_message);
}

void log_clear(void)
{
	log_used = 0;
	log_buffer[0] = '\0';
}

const char *log_text(void)
{
	return log_buffer;
}

void memory_trim(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
