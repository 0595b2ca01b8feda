/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Tries what no version number tells: kernels are built without it, forbid it, or fail on one function.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <unistd.h>

#include "follow.h"

int follow_function(unsigned int function, int at_end)
{
	const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_prog_load_opts options = {
		.sz = sizeof(options),
		.expected_attach_type = at_end ? BPF_TRACE_FEXIT : BPF_TRACE_FENTRY,
		.attach_btf_id = function,
	};
	int program = bpf_prog_load(BPF_PROG_TYPE_TRACING, NULL, "Dual BSD/GPL", nothing,
				    sizeof(nothing) / sizeof(nothing[0]), &options);
	int attached;

	if (program < 0)
		return -errno;
	attached = bpf_raw_tracepoint_open(NULL, program);
	if (attached < 0)
		attached = -errno;
	else
		close(attached);
	close(program);
	return attached < 0 ? attached : 0;
}
