/* bcc passes it to the kernel with every program; only kprobes, which we have none of, need it to be
 * the running kernel's. */
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 14, 0)
