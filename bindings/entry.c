/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "entry.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A program runs on whichever CPU the file does; an event for every process has to name one. */
#define EVERY_PROCESS -1
#define SOME_CPU 0

int entry_attach(int program, const char *path, unsigned long long offset, unsigned int pmu)
{
	struct perf_event_attr event = {
		.type = pmu,
		.size = sizeof(event),
		.config1 = (uintptr_t)path,
		.config2 = offset,
	};
	int error;
	int descriptor = syscall(SYS_perf_event_open, &event, EVERY_PROCESS, SOME_CPU, -1,
				 PERF_FLAG_FD_CLOEXEC);

	if (descriptor < 0)
		return -errno;
	if (ioctl(descriptor, PERF_EVENT_IOC_SET_BPF, program) == 0 &&
	    ioctl(descriptor, PERF_EVENT_IOC_ENABLE, 0) == 0)
		return descriptor;
	error = -errno;
	close(descriptor);
	return error;
}
