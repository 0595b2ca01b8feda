/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Exactly the calls of libbpf (1.0 or later) that the sensor makes, as cffi reads them. The C
 * compiler checks each against <bpf/libbpf.h>, whose documentation holds. */
struct bpf_object;
struct bpf_program;
struct bpf_map;
struct bpf_link;
struct btf;
struct ring_buffer;

const char *libbpf_version_string(void);
int libbpf_num_possible_cpus(void);

struct bpf_object *bpf_object__open_file(const char *path, const void *options);
int bpf_object__load(struct bpf_object *object);
void bpf_object__close(struct bpf_object *object);

struct bpf_map *bpf_object__find_map_by_name(const struct bpf_object *object, const char *name);
int bpf_map__set_initial_value(struct bpf_map *map, const void *data, size_t size);
const void *bpf_map__initial_value(struct bpf_map *map, size_t *size);
int bpf_map__set_max_entries(struct bpf_map *map, unsigned int entries);
int bpf_map__fd(const struct bpf_map *map);
int bpf_map__lookup_elem(const struct bpf_map *map, const void *key, size_t key_size, void *value,
			 size_t value_size, unsigned long long flags);

#define BTF_KIND_TYPEDEF ...
#define BTF_KIND_FUNC ...
struct btf *btf__load_vmlinux_btf(void);
void btf__free(struct btf *types);
int btf__find_by_name_kind(const struct btf *types, const char *name, unsigned int kind);
int bpf_program__set_autoload(struct bpf_program *program, _Bool autoload);

/* By descriptor, for programs and maps that bcc loaded. */
int bpf_map_lookup_elem(int map, const void *key, void *value);
int bpf_map_update_elem(int map, const void *key, const void *value, unsigned long long flags);
int bpf_map_delete_elem(int map, const void *key);
int bpf_link_create(int program, int target, int attach_type, const void *options);

struct bpf_program *bpf_object__next_program(const struct bpf_object *object,
					     struct bpf_program *previous);
const char *bpf_program__name(const struct bpf_program *program);
const char *bpf_program__section_name(const struct bpf_program *program);
struct bpf_link *bpf_program__attach(const struct bpf_program *program);
struct bpf_link *bpf_program__attach_cgroup(const struct bpf_program *program, int cgroup);
struct bpf_link *bpf_program__attach_iter(const struct bpf_program *program, const void *options);
int bpf_link__fd(const struct bpf_link *link);
int bpf_link__destroy(struct bpf_link *link);
int bpf_iter_create(int link);
