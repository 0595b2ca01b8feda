/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Connects to 10.99.0.1, .2, ... port 7002 through io_uring, without connect(2) and without liburing,
 * which not every machine has. uring inline|worker|poller COUNT: the ring executes an entry inside
 * the submitting call, in a worker thread, or in a thread of the kernel's that polls for entries.
 * Exits with 2, naming errno, where the kernel gives no ring.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRIES 8
#define FIRST_ADDRESS 0x0a630001

static struct io_uring_params parameters;
static int ring;

static char *map_ring(unsigned long size, unsigned long place)
{
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, place);

	if (at == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return at;
}

static unsigned *word(char *base, unsigned place)
{
	return (unsigned *)(base + place);
}

int main(int arguments, char **argument)
{
	int count = arguments == 3 ? atoi(argument[2]) : 0;
	int in_worker = count && !strcmp(argument[1], "worker");
	int polled = count && !strcmp(argument[1], "poller");
	char *submissions, *completions;
	struct io_uring_sqe *entries;

	if (polled) {
		parameters.flags = IORING_SETUP_SQPOLL;
		parameters.sq_thread_idle = 10000;
	}
	ring = syscall(__NR_io_uring_setup, ENTRIES, &parameters);
	if (ring < 0) {
		fprintf(stderr, "io_uring_setup: %s\n", strerror(errno));
		return 2;
	}
	submissions = map_ring(parameters.sq_off.array + ENTRIES * sizeof(unsigned),
			       IORING_OFF_SQ_RING);
	completions = map_ring(parameters.cq_off.cqes +
				       parameters.cq_entries * sizeof(struct io_uring_cqe),
			       IORING_OFF_CQ_RING);
	entries = (void *)map_ring(ENTRIES * sizeof(*entries), IORING_OFF_SQES);

	for (int i = 0; i < count; i++) {
		struct sockaddr_in peer = { .sin_family = AF_INET,
					    .sin_port = htons(7002),
					    .sin_addr.s_addr = htonl(FIRST_ADDRESS + i) };
		int client = socket(AF_INET, SOCK_STREAM, 0);

		memset(entries, 0, sizeof(*entries));
		entries->opcode = IORING_OP_CONNECT;
		entries->flags = in_worker ? IOSQE_ASYNC : 0;
		entries->fd = client;
		entries->addr = (unsigned long)&peer;
		entries->off = sizeof(peer);
		*word(submissions, parameters.sq_off.array + (i % ENTRIES) * sizeof(unsigned)) = 0;
		__atomic_store_n(word(submissions, parameters.sq_off.tail), i + 1, __ATOMIC_RELEASE);
		if (syscall(__NR_io_uring_enter, ring, polled ? 0 : 1, 1,
			    IORING_ENTER_GETEVENTS | (polled ? IORING_ENTER_SQ_WAKEUP : 0), NULL,
			    0) < 0) {
			perror("io_uring_enter");
			return 1;
		}
		__atomic_store_n(word(completions, parameters.cq_off.head), i + 1, __ATOMIC_RELEASE);
		close(client);
	}
	return 0;
}
