/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Reading the sensor's rings in batches, libbpf's messages kept for an error report, and what libbpf
 * leaves in memory. cffi reads this file, so it includes nothing; whoever includes it includes
 * <stddef.h> first. */

/* One ring and the caller's array that its events go to. size of a row is that of the whole event;
 * an event may be shorter, then the rest of its row is zero. */
struct drain_lane {
	char *rows;
	size_t row_size;
	size_t capacity;
	size_t count;
	int map;
};

/* The rings of `count` lanes, in the order in which they are to be read. NULL: errno says why. */
struct ring_buffer *drain_open(struct drain_lane *lanes, size_t count);
void drain_close(struct ring_buffer *rings);

/* From now on drain() waits no longer than until `descriptor` is readable. 0, or a negative errno. */
int drain_wake_by(struct ring_buffer *rings, int descriptor);

/* Waits up to timeout_ms for an event (0: not at all), then reads what there is. Returns the number
 * of events stored, or a negative errno; -EINTR when a signal came. When a lane is full, reading
 * stops and *full is 1: nothing is lost, the next call goes on. */
int drain(struct ring_buffer *rings, struct drain_lane *lanes, size_t count, int timeout_ms,
	  int *full);

/* libbpf writes to stderr unless told otherwise; these keep the last of its messages instead. */
void log_keep(void);
void log_clear(void);
const char *log_text(void);

/* Gives freed memory back to the system. glibc keeps what large blocks left, and loading the programs
 * leaves ten megabytes. */
void memory_trim(void);
