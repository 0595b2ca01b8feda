/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a process ends with. It exits, and says so; or a signal ends it that it does not handle. Most of
 * those end all threads where they are sent, who are then each given a SIGKILL: which one it was is
 * known by what was sent last and not handled since.
 */

/* Those that end a process that does not handle them, as bits (signal(7); real-time signals from 32 on
 * do): where they are sent, and where they are taken, as what writes a core. */
#define SIGKILL 9
#define SIGNAL(number) (1ULL << ((number)-1))
#define SIGNALS_THAT_END                                                                       \
	(SIGNAL(1) | SIGNAL(2) | SIGNAL(SIGKILL) | SIGNAL(10) | SIGNAL(12) | SIGNAL(13) |       \
	 SIGNAL(14) | SIGNAL(15) | SIGNAL(16) | SIGNAL(26) | SIGNAL(27) | SIGNAL(29) |          \
	 SIGNAL(30) | ~0ULL << 31)
#define SIGNALS_WITH_CORE                                                                      \
	(SIGNAL(3) | SIGNAL(4) | SIGNAL(5) | SIGNAL(6) | SIGNAL(7) | SIGNAL(8) | SIGNAL(11) |   \
	 SIGNAL(24) | SIGNAL(25) | SIGNAL(31))

/* What becomes of a signal, as the tracepoint has it. */
#define SIGNAL_SENT 0
#define SIGNAL_SENT_WITHOUT_DETAILS 4

static __always_inline int is_one_of(u64 signals, u32 signal)
{
	return signal && signals >> ((signal - 1) & 63) & 1;
}

/* Whichever of its threads comes first says it for all. */
int on_exit_group(struct tracepoint__syscalls__sys_enter_exit_group *args)
{
	struct known_process *process = current_process();

	if (!process || process->is_ending)
		return 0;
	process->is_ending = 1;
	process->exit_code = (args->error_code & 0xff) << 8;
	return 0;
}

/* Of one thread: that of the last one is the process's. */
int on_exit_call(struct tracepoint__syscalls__sys_enter_exit *args)
{
	struct known_process *process = current_process();

	if (process && !process->is_ending)
		process->exit_code = (args->error_code & 0xff) << 8;
	return 0;
}

/* To a process, or one of its threads; another thread than the first one is most often sent to by its
 * own process. */
int on_signal_sent(struct tracepoint__signal__signal_generate *args)
{
	u32 pid = args->pid;
	struct known_process *process;

	if (!is_one_of(SIGNALS_THAT_END, args->sig) ||
	    (args->result != SIGNAL_SENT && args->result != SIGNAL_SENT_WITHOUT_DETAILS))
		return 0;
	process = processes.lookup(&pid);
	if (!process)
		process = current_process();
	if (process)
		process->signal = args->sig;
	return 0;
}

/* Threads that another one's exec ends take a SIGKILL as well: the exec takes it back. */
int on_signal_taken(struct tracepoint__signal__signal_deliver *args)
{
	struct known_process *process;
	u32 signal = args->sig;

	if (!is_one_of(SIGNALS_THAT_END | SIGNALS_WITH_CORE, signal))
		return 0;
	process = current_process();
	if (!process || process->is_ending)
		return 0;
	if (args->sa_handler) {
		if (process->signal == signal)
			process->signal = 0;
		return 0;
	}
	process->is_ending = 1;
	process->exit_code = signal == SIGKILL && process->signal ? process->signal : signal;
	return 0;
}
