/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/xen_libs.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* One of a library's names, the newest first, and the package that has it. */
struct library {
	const char *names[3];
	const char *package;
	bool optional;
};

enum { MEMORY, CALL, STORE, CTRL, EVENTS };

static const struct library libraries[] = {
	[MEMORY] = { { "libxenforeignmemory.so.1" }, "libxenforeignmemory1" },
	[CALL] = { { "libxencall.so.1" }, "libxencall1" },
	/* 4.0 has the same functions as 3.0, but for watches, which are not used. */
	[STORE] = { { "libxenstore.so.4", "libxenstore.so.3.0" }, "libxenstore4" },
	[CTRL] = { { XEN_CTRL_LIBRARY }, "libxenmisc" XEN_CTRL_VERSION, true },
	[EVENTS] = { { "libxenevtchn.so.1" }, "libxenevtchn1", true },
};

#define FUNCTION(library, member, name) \
	{ library, name, offsetof(struct xen_libs, member) }

static const struct {
	unsigned library;
	const char *name;
	size_t offset;
} functions[] = {
	FUNCTION(MEMORY, memory_open, "xenforeignmemory_open"),
	FUNCTION(MEMORY, memory_close, "xenforeignmemory_close"),
	FUNCTION(MEMORY, memory_map, "xenforeignmemory_map"),
	FUNCTION(MEMORY, memory_unmap, "xenforeignmemory_unmap"),
	FUNCTION(MEMORY, memory_restrict, "xenforeignmemory_restrict"),
	FUNCTION(CALL, call_open, "xencall_open"),
	FUNCTION(CALL, call_close, "xencall_close"),
	FUNCTION(CALL, call2, "xencall2"),
	FUNCTION(CALL, call_alloc_buffer, "xencall_alloc_buffer"),
	FUNCTION(CALL, call_free_buffer, "xencall_free_buffer"),
	FUNCTION(STORE, store_open, "xs_open"),
	FUNCTION(STORE, store_close, "xs_close"),
	FUNCTION(STORE, store_read, "xs_read"),
	FUNCTION(STORE, store_directory, "xs_directory"),
	FUNCTION(STORE, store_is_introduced, "xs_is_domain_introduced"),
	FUNCTION(STORE, store_write, "xs_write"),
	FUNCTION(STORE, store_remove, "xs_rm"),
	FUNCTION(CTRL, ctrl_open, "xc_interface_open"),
	FUNCTION(CTRL, ctrl_close, "xc_interface_close"),
	FUNCTION(CTRL, ctrl_getinfo, "xc_domain_getinfo"),
	FUNCTION(CTRL, ctrl_getcontext, "xc_domain_hvm_getcontext_partial"),
	FUNCTION(CTRL, ctrl_getcontext_pv, "xc_vcpu_getcontext"),
	FUNCTION(CTRL, ctrl_monitor_enable, "xc_monitor_enable"),
	FUNCTION(CTRL, ctrl_monitor_disable, "xc_monitor_disable"),
	FUNCTION(CTRL, ctrl_monitor_resume, "xc_monitor_resume"),
	FUNCTION(CTRL, ctrl_monitor_capabilities, "xc_monitor_get_capabilities"),
	FUNCTION(CTRL, ctrl_monitor_register, "xc_monitor_write_ctrlreg"),
	FUNCTION(EVENTS, events_open, "xenevtchn_open"),
	FUNCTION(EVENTS, events_close, "xenevtchn_close"),
	FUNCTION(EVENTS, events_fd, "xenevtchn_fd"),
	FUNCTION(EVENTS, events_bind, "xenevtchn_bind_interdomain"),
	FUNCTION(EVENTS, events_unbind, "xenevtchn_unbind"),
	FUNCTION(EVENTS, events_notify, "xenevtchn_notify"),
	FUNCTION(EVENTS, events_pending, "xenevtchn_pending"),
	FUNCTION(EVENTS, events_unmask, "xenevtchn_unmask"),
};

/* All functions of one library, or none. */
static int load(unsigned which, struct xen_libs *libs, struct err *err)
{
	const struct library *library = &libraries[which];
	void *handle = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(library->names) && library->names[i] && !handle; i++)
		handle = dlopen(library->names[i], RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return err_set(err, -ENOTSUP, "%s cannot be loaded: install %s",
			       library->names[0], library->package);
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		void *at;

		if (functions[i].library != which)
			continue;
		at = dlsym(handle, functions[i].name);
		if (!at) {
			dlclose(handle);
			return err_set(err, -ENOTSUP, "%s has no %s: it is of another version",
				       library->names[0], functions[i].name);
		}
		memcpy((char *)libs + functions[i].offset, &at, sizeof(at));
	}
	return 0;
}

int xen_libs_load(const struct xen_libs **ret, struct err *err)
{
	static struct xen_libs loaded;
	static bool done;

	for (unsigned i = 0; i < ARRAY_SIZE(libraries) && !done; i++) {
		struct xen_libs libs = loaded;
		struct err why = {0};
		int r = load(i, &libs, &why);

		if (r < 0 && !libraries[i].optional) {
			if (err)
				*err = why;
			return r;
		}
		if (r >= 0)
			loaded = libs;
		else if (i == CTRL)
			loaded.ctrl_why = why;
		else
			loaded.events_why = why;
	}
	done = true;
	*ret = &loaded;
	return 0;
}

bool xen_is_control_domain(void)
{
	cleanup(file_close) FILE *file = fopen("/proc/xen/capabilities", "re");
	char line[64];

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "control_d", 9))
			return true;
	return false;
}

bool xen_is_here(void)
{
	return access("/dev/xen/privcmd", F_OK) == 0 || access("/proc/xen/privcmd", F_OK) == 0;
}
