/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Threads that connect at the same instant, to 127.0.0.1 and on, where nobody listens.
 * Usage: threads THREADS CONNECTS. In a session of its own; when all threads have ended it connects
 * twice more, ticks of the clock apart, says so and waits for the end of its input. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 7002
#ifndef HOSTS
#define HOSTS 200
#endif

static pthread_barrier_t all;
static int connects;

static void try_one(int number)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + number % HOSTS),
	};
	int tcp = socket(AF_INET, SOCK_STREAM, 0);

	if (tcp < 0 || connect(tcp, (struct sockaddr *)&to, sizeof(to)) == 0) {
		perror("connect");
		exit(1);
	}
	close(tcp);
}

static void *work(void *unused)
{
	pthread_barrier_wait(&all);
	for (int number = 0; number < connects; number++)
		try_one(number);
	return NULL;
}

int main(int count, char **arguments)
{
	int threads = count == 3 ? atoi(arguments[1]) : 0;
	pthread_t thread[64];

	if (threads < 1 || threads > 64 || setsid() < 0)
		return 2;
	connects = atoi(arguments[2]);
	pthread_barrier_init(&all, NULL, threads);
	for (int each = 0; each < threads; each++)
		pthread_create(&thread[each], NULL, work, NULL);
	for (int each = 0; each < threads; each++)
		pthread_join(thread[each], NULL);
	for (int once_more = 0; once_more < 2; once_more++) {
		usleep(50000);
		try_one(once_more);
	}
	puts("done");
	fflush(stdout);
	getchar();
	return 0;
}
