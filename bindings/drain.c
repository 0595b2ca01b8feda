/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Copies events from the rings into the caller's arrays, row by row, without Python in between.
 * libbpf takes a sample as read even when the callback refuses it, so a row is stored first and the
 * reading stopped afterwards.
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

#include "drain.h"

static int store(void *context, void *data, size_t size)
{
	struct drain_lane *lane = context;
	char *row = lane->rows + lane->count * lane->row_size;

	if (size > lane->row_size)
		size = lane->row_size;
	memcpy(row, data, size);
	memset(row + size, 0, lane->row_size - size);
	lane->count++;
	return lane->count < lane->capacity ? 0 : -ENOBUFS;
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

int drain(struct ring_buffer *rings, struct drain_lane *lanes, size_t count, int timeout_ms,
	  int *full)
{
	struct epoll_event ready;
	int result;
	int stored = 0;

	*full = 0;
	for (size_t i = 0; i < count; i++)
		lanes[i].count = 0;
	if (timeout_ms != 0 &&
	    epoll_wait(ring_buffer__epoll_fd(rings), &ready, 1, timeout_ms) < 0)
		return -errno;
	/* All rings in the order of the lanes, whichever was ready. */
	result = ring_buffer__consume(rings);
	if (result == -ENOBUFS)
		*full = 1;
	else if (result < 0)
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
