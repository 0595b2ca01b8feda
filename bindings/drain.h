/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Reading the sensor's rings in batches, libbpf's messages kept for an error report, and what libbpf
 * leaves in memory. cffi reads this file, so it includes nothing; whoever includes it includes
 * <stddef.h> first. */

/* One ring and the caller's memory that its events go to, each behind its size and none larger than
 * `largest`: `room` bytes, of which the last drain used the first ones, for `count` events, the
 * longest of which has `longest` bytes. */
struct drain_lane {
	char *memory;
	size_t room;
	size_t largest;
	size_t used;
	size_t count;
	size_t longest;
	int map;
};

/* The rings of `count` lanes, in the order in which they are to be read. NULL: errno says why. */
struct ring_buffer *drain_open(struct drain_lane *lanes, size_t count);
void drain_close(struct ring_buffer *rings);

/* From now on drain() waits no longer than until `descriptor` is readable. 0, or a negative errno. */
int drain_wake_by(struct ring_buffer *rings, int descriptor);

/* Waits up to timeout_ms for an event (0: not at all), then reads what there is. Returns the number
 * of events stored, or a negative errno; -EINTR when a signal came. When a lane is full, reading
 * stops: nothing is lost, the next call goes on. */
int drain(struct ring_buffer *rings, struct drain_lane *lanes, size_t count, int timeout_ms);

/* Writes the lane's events into `count` rows of row_size bytes, which is `longest` at the least; what
 * an event does not fill of its row is zero. They may be asked for once. */
void drain_rows(const struct drain_lane *lane, char *rows, size_t row_size);

/* libbpf writes to stderr unless told otherwise; these keep the last of its messages instead. */
void log_keep(void);
void log_clear(void);
const char *log_text(void);

/* Gives freed memory back to the system: glibc keeps what large blocks left, and loading the programs
 * leaves ten megabytes. */
void memory_trim(void);
