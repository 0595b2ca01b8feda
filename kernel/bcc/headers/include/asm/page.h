/* bcc gives the size of a ring in pages. */
#define PAGE_SIZE 4096
