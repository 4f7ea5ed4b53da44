/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/cpu.h"

struct cpu_fields { struct field capability; };

static const struct member cpu_members[] = {
	MEMBER(struct cpu_fields, capability, "cpuinfo_x86.x86_capability"),
};
LAYOUT(cpu_layout, struct cpu_fields, cpu_members);

int cpu_features_read(const struct kernel *kernel, struct view *view, struct cpu_features *ret,
		      struct err *err)
{
	struct cpu_features features = { 0 };
	const struct cpu_fields *f;
	uint32_t bytes;
	gva cpu;
	int r;

	r = types_layout(kernel->types, &cpu_layout, (const void **)&f, err);
	if (r >= 0)
		r = kernel_symbol(kernel, "boot_cpu_data", &cpu, err);
	if (r < 0)
		return wrap(err, r, "features of the CPU");
	bytes = f->capability.size_bytes;
	if (bytes < CPU_UMIP / 8)
		return err_set(err, -EBADMSG, "features of the CPU in %u bytes", bytes);
	if (bytes > sizeof(features.word))
		bytes = sizeof(features.word);
	r = view_read(view, field_at(cpu, &f->capability), features.word, bytes, err);
	if (r < 0)
		return wrap(err, r, "features of the CPU");
	*ret = features;
	return 0;
}
