/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The sensor without Python, for a guest that holds nothing but busybox: loads the object, attaches
 * every program whose hook the kernel has, makes one attempt of each kind, and prints the counters.
 *
 * sensor_probe OBJECT CGROUP
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "event.h"

#define CLOSED_PORT 9

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Room for the default settings, as sensor/loader.py writes them. */
static void set(struct bpf_object *object)
{
	struct fanout_settings settings = {
		.window_ns = { 10000000000ULL, 60000000000ULL, 600000000000ULL },
		.hosts = 25,
		.host_ports = 50,
		.failures = 100,
		.sequential_run = 20,
		.probe_targets = 10,
		.detail_limit = 8,
	};
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata.settings");

	if (!map || bpf_map__set_initial_value(map, &settings, sizeof(settings)))
		die("settings");
}

static int is_missing(const char *section)
{
	const char *hook = strchr(section, '/');

	return !strncmp(section, "tp_btf/", 7) &&
	       libbpf_find_vmlinux_btf_id(hook + 1, BPF_TRACE_RAW_TP) < 0;
}

static void attach(struct bpf_object *object, int cgroup)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object) {
		const char *section = bpf_program__section_name(program);
		struct bpf_link *link;

		if (!bpf_program__autoload(program)) {
			printf("left out %s\n", section);
			continue;
		}
		link = strncmp(section, "cgroup/", 7) ? bpf_program__attach(program) :
							bpf_program__attach_cgroup(program, cgroup);
		if (!link)
			die(section);
	}
}

static void send_packets(void)
{
	struct sockaddr_in closed = { .sin_family = AF_INET, .sin_port = htons(CLOSED_PORT) };
	struct icmphdr echo = { .type = ICMP_ECHO };
	int tcp = socket(AF_INET, SOCK_STREAM, 0);
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	int raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	closed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(tcp, (struct sockaddr *)&closed, sizeof(closed)) == 0)
		die("the closed port is open");
	sendto(udp, "x", 1, 0, (struct sockaddr *)&closed, sizeof(closed));
	sendto(raw, &echo, sizeof(echo), 0, (struct sockaddr *)&closed, sizeof(closed));
	close(tcp);
	close(udp);
	close(raw);
}

int main(int count, char **arguments)
{
	struct bpf_object *object;
	struct bpf_program *program;
	struct bpf_map *counters;
	int cgroup;

	if (count != 3)
		return 2;
	object = bpf_object__open_file(arguments[1], NULL);
	cgroup = open(arguments[2], O_RDONLY | O_DIRECTORY);
	if (!object || cgroup < 0)
		die("open");
	set(object);
	bpf_object__for_each_program(program, object)
		if (is_missing(bpf_program__section_name(program)))
			bpf_program__set_autoload(program, 0);
	if (bpf_object__load(object))
		die("load");
	attach(object, cgroup);
	send_packets();
	counters = bpf_object__find_map_by_name(object, "counters");
	for (__u32 key = 0; key < SENSOR_COUNTERS; key++) {
		__u64 values[512] = { 0 };
		__u64 sum = 0;

		if (bpf_map_lookup_elem(bpf_map__fd(counters), &key, values))
			die("counters");
		for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
			sum += values[cpu];
		printf("counter %u %llu\n", key, sum);
	}
	return 0;
}
