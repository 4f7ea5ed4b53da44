/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/xen_host.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/hvm/save.h>
#include <xen/memory.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/xen_context.h"

#define KIB 1024u
#define UUID_LENGTH 36u

static void say_nothing(xentoollog_logger *logger, xentoollog_level level, int errnoval,
			const char *context, const char *format, va_list args)
{
	(void)logger;
	(void)level;
	(void)errnoval;
	(void)context;
	(void)format;
	(void)args;
}

static void show_nothing(xentoollog_logger *logger, const char *context, const char *doing_what,
			 int percent, unsigned long done, unsigned long total)
{
	(void)logger;
	(void)context;
	(void)doing_what;
	(void)percent;
	(void)done;
	(void)total;
}

static void destroy_nothing(xentoollog_logger *logger)
{
	(void)logger;
}

xentoollog_logger *xen_quiet(void)
{
	static xentoollog_logger quiet = { say_nothing, show_nothing, destroy_nothing };

	return &quiet;
}

/* What a refusal means to a person. */
static int refused(int code, const char *what, struct err *err)
{
	bool rights = code == -EACCES || code == -EPERM;

	return err_set(err, rights ? -EACCES : code, "%s: %s%s", what, strerror(-code),
		       rights ? ": run as root in dom0" : "");
}

/* A call that fails and does not say why failed all the same. */
static int errno_or(int code)
{
	return errno ? -errno : code;
}

int xen_host_open(const struct xen_libs *libs, struct xen_host *host, struct err *err)
{
	struct xen_host opened = { .libs = libs, .ctrl_why = libs->ctrl_why };

	errno = 0;
	opened.store = libs->store_open(0);
	if (!opened.store)
		return refused(errno_or(-EIO), "xenstore", err);
	errno = 0;
	opened.call = libs->call_open(xen_quiet(), 0);
	if (!opened.call) {
		int r = refused(errno_or(-EIO), "calls to Xen", err);

		xen_host_close(&opened);
		return r;
	}
	if (libs->ctrl_open) {
		errno = 0;
		opened.ctrl = libs->ctrl_open(xen_quiet(), NULL, 0);
		if (!opened.ctrl)
			refused(errno_or(-EIO), "control of domains", &opened.ctrl_why);
	}
	*host = opened;
	return 0;
}

void xen_host_close(struct xen_host *host)
{
	if (host->ctrl)
		host->libs->ctrl_close(host->ctrl);
	if (host->call)
		host->libs->call_close(host->call);
	if (host->store)
		host->libs->store_close(host->store);
	*host = (struct xen_host){ 0 };
}

/* What is at a path below a domain's; NULL: nothing, or it may not be read. */
static printf_like(2, 3) char *read_at(const struct xen_host *host, const char *fmt, ...)
{
	char path[XEN_PATH_MAX];
	unsigned len;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(path, sizeof(path), fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(path))
		return NULL;
	errno = 0;
	return host->libs->store_read(host->store, XBT_NULL, path, &len);
}

/* A decimal number up to @max, and nothing else. */
static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value;
	char *end;

	if (!text || !isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || value > max)
		return false;
	*ret = value;
	return true;
}

static enum xen_kind parse_kind(const char *text)
{
	static const char *const names[] = {
		[XEN_PV] = "pv", [XEN_PVH] = "pvh", [XEN_HVM] = "hvm",
	};

	for (size_t i = XEN_PV; text && i < ARRAY_SIZE(names); i++)
		if (!strcmp(text, names[i]))
			return (enum xen_kind)i;
	return XEN_UNKNOWN;
}

/* "/vm/UUID": a copy of the UUID, where it is one. */
static char *uuid_of(const char *vm)
{
	const char *last = vm ? strrchr(vm, '/') : NULL;

	if (!last || strlen(++last) != UUID_LENGTH ||
	    strspn(last, "0123456789abcdefABCDEF-") != UUID_LENGTH)
		return NULL;
	return strdup(last);
}

static unsigned count_vcpus(const struct xen_host *host, uint16_t id)
{
	char path[XEN_PATH_MAX];
	unsigned n = 0;

	snprintf(path, sizeof(path), "/local/domain/%u/cpu", id);
	free(host->libs->store_directory(host->store, XBT_NULL, path, &n));
	return n;
}

/* What only libxenctrl knows. */
static void add_state(const struct xen_host *host, struct xen_domain *domain)
{
	xc_dominfo_t info;

	if (!host->ctrl || host->libs->ctrl_getinfo(host->ctrl, domain->id, 1, &info) != 1 ||
	    info.domid != domain->id)
		return;
	domain->stopped = info.paused || info.shutdown || info.dying;
	if (domain->kind == XEN_UNKNOWN)
		domain->kind = info.hvm ? XEN_HVM : XEN_PV;
	if (!domain->memory_bytes)
		domain->memory_bytes = (uint64_t)info.max_memkb * KIB;
	if (!domain->vcpus)
		domain->vcpus = info.nr_online_vcpus;
}

int xen_domain_describe(const struct xen_host *host, uint16_t id, struct xen_domain *ret,
			struct err *err)
{
	cleanup(freep) char *kind = NULL, *memory = NULL, *self = NULL;
	struct xen_domain domain = { .id = id };
	uint64_t number;

	if (!host->libs->store_is_introduced(host->store, id))
		return err_set(err, -ESRCH, "there is no domain %u", id);
	domain.name = read_at(host, "/local/domain/%u/name", id);
	domain.vm = read_at(host, "/local/domain/%u/vm", id);
	domain.uuid = uuid_of(domain.vm);
	kind = read_at(host, "/libxl/%u/type", id);
	domain.kind = parse_kind(kind);
	memory = read_at(host, "/local/domain/%u/memory/static-max", id);
	if (parse_number(memory, UINT64_MAX / KIB, &number))
		domain.memory_bytes = number * KIB;
	/* Relative to our own domain. */
	self = read_at(host, "domid");
	domain.self = parse_number(self, XEN_DOMAINS_MAX, &number) ? number == id : id == 0;
	domain.vcpus = count_vcpus(host, id);
	add_state(host, &domain);
	*ret = domain;
	return 0;
}

void xen_domain_free(struct xen_domain *domain)
{
	free(domain->name);
	free(domain->vm);
	free(domain->uuid);
	*domain = (struct xen_domain){ 0 };
}

void xen_domains_free(struct xen_domains *domains)
{
	for (size_t i = 0; i < domains->list.n; i++)
		xen_domain_free(&domains->list.v[i]);
	vec_free(&domains->list);
}

static int by_id(const void *a, const void *b)
{
	const struct xen_domain *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int xen_domains_find(const struct xen_host *host, struct xen_domains *ret, struct err *err)
{
	cleanup(xen_domains_free) struct xen_domains found = { 0 };
	cleanup(freep) char **names = NULL;
	unsigned n = 0;

	errno = 0;
	names = host->libs->store_directory(host->store, XBT_NULL, "/local/domain", &n);
	if (!names)
		return refused(errno_or(-EIO), "the list of domains", err);
	if (n > XEN_DOMAINS_MAX)
		return err_set(err, -ELOOP, "xenstore lists %u domains", n);
	for (unsigned i = 0; i < n; i++) {
		struct xen_domain domain, *add;
		uint64_t id;

		/* Others may have written there, and one may end meanwhile. */
		if (!parse_number(names[i], XEN_DOMAINS_MAX - 1, &id) ||
		    xen_domain_describe(host, (uint16_t)id, &domain, NULL) < 0)
			continue;
		add = vec_add(&found.list);
		if (!add) {
			xen_domain_free(&domain);
			return err_set(err, -ENOMEM, "no memory for domains");
		}
		*add = domain;
	}
	if (found.list.n)
		qsort(found.list.v, found.list.n, sizeof(*found.list.v), by_id);
	*ret = found;
	found = (struct xen_domains){ 0 };
	return 0;
}

int xen_supported(const struct xen_host *host, const struct xen_domain *domain, struct err *err)
{
	if (domain->self)
		return err_set(err, -ENOTSUP, "the domain that hvsm itself runs in");
	if (domain->kind == XEN_PV && !host->ctrl)
		return err_set(err, -ENOTSUP, "a PV guest, whose memory only libxenctrl tells: %s",
			       host->ctrl_why.text);
	if (domain->kind == XEN_UNKNOWN)
		return err_set(err, -ENOTSUP, "neither libxl nor libxenctrl says whether domain "
			       "%u is PV, PVH or HVM", domain->id);
	return 0;
}

int xen_domain_same(const struct xen_host *host, uint16_t id, const char *vm, struct err *err)
{
	cleanup(freep) char *now = NULL;

	errno = 0;
	if (!host->libs->store_is_introduced(host->store, id))
		return errno ? err_set(err, -EIO, "xenstore: %s", strerror(errno)) :
			       err_set(err, -ESRCH, "the domain has ended");
	now = read_at(host, "/local/domain/%u/vm", id);
	if (vm && (!now || strcmp(now, vm) != 0))
		return err_set(err, -ESRCH, "the domain has ended, and another may have its "
			       "number");
	return 0;
}

/* A call of memory_op with one structure of @size bytes that goes both ways. */
static int memory_op(const struct xen_host *host, unsigned op, void *arg, size_t size,
		     const char *what, int *ret, struct err *err)
{
	const struct xen_libs *libs = host->libs;
	void *buffer = libs->call_alloc_buffer(host->call, size);
	int r;

	if (!buffer)
		return err_set(err, -ENOMEM, "no memory for calls to Xen");
	memcpy(buffer, arg, size);
	errno = 0;
	r = libs->call2(host->call, __HYPERVISOR_memory_op, op, (uint64_t)(uintptr_t)buffer);
	if (r < 0)
		r = refused(errno_or(-EIO), what, err);
	else
		memcpy(arg, buffer, size);
	libs->call_free_buffer(host->call, buffer);
	if (r < 0)
		return r;
	*ret = r;
	return 0;
}

int xen_domain_end(const struct xen_host *host, uint16_t id, uint64_t *frames, struct err *err)
{
	domid_t domain = id;
	int last, r = memory_op(host, XENMEM_maximum_gpfn, &domain, sizeof(domain),
				"the size of the domain's memory", &last, err);

	if (r == 0)
		*frames = (uint64_t)last + 1;
	return r;
}

int xen_domain_owed(const struct xen_host *host, uint16_t id, uint64_t *pages, struct err *err)
{
	struct xen_pod_target target = { .domid = id };
	int done, r = memory_op(host, XENMEM_get_pod_target, &target, sizeof(target),
				"memory populated on demand", &done, err);

	if (r == 0)
		*pages = target.pod_entries > target.pod_cache_pages ?
				 target.pod_entries - target.pod_cache_pages : 0;
	return r;
}

/* What Xen knows of a domain, by libxenctrl. */
static int get_info(const struct xen_host *host, uint16_t id, xc_dominfo_t *ret, struct err *err)
{
	if (!host->ctrl)
		return err_set(err, -ENOTSUP, "%s", host->ctrl_why.text);
	errno = 0;
	if (host->libs->ctrl_getinfo(host->ctrl, id, 1, ret) != 1 || ret->domid != id)
		return refused(errno_or(-ESRCH), "what Xen knows of the domain", err);
	return 0;
}

int xen_domain_shared(const struct xen_host *host, uint16_t id, uint64_t *frame, struct err *err)
{
	xc_dominfo_t info;
	int r = get_info(host, id, &info, err);

	if (r >= 0)
		*frame = info.shared_info_frame;
	return r;
}

static struct registers registers_of(const struct hvm_hw_cpu *cpu)
{
	return (struct registers){
		.have = REGISTERS_CONTROL | REGISTERS_TABLES | REGISTERS_CODE | REGISTERS_EFER |
			REGISTERS_ENTRIES,
		.cr0 = cpu->cr0, .cr3 = cpu->cr3, .cr4 = cpu->cr4,
		.idt = cpu->idtr_base, .idt_limit = cpu->idtr_limit,
		.gdt = cpu->gdtr_base, .gdt_limit = cpu->gdtr_limit,
		.tr = cpu->tr_base,
		.rip = cpu->rip, .cs = (uint16_t)cpu->cs_sel,
		.efer = cpu->msr_efer,
		.lstar = cpu->msr_lstar, .sysenter = cpu->sysenter_eip,
	};
}

int xen_domain_registers(const struct xen_host *host, uint16_t id, registers_list *ret,
			 struct err *err)
{
	const struct xen_libs *libs = host->libs;
	xc_dominfo_t info;
	int r = get_info(host, id, &info, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i <= info.max_vcpu_id && i < CPUS_MAX; i++) {
		struct hvm_hw_cpu cpu = { 0 };
		struct registers *slot;

		errno = 0;
		if (libs->ctrl_getcontext(host->ctrl, id, HVM_SAVE_CODE(CPU), (uint16_t)i, &cpu,
					  sizeof(cpu)) < 0) {
			/* A vCPU that is not up has none. */
			if (errno == ENODATA || errno == ENOENT)
				continue;
			return refused(errno_or(-EIO), "registers", err);
		}
		slot = vec_add(ret);
		if (!slot)
			return err_set(err, -ENOMEM, "no memory for registers");
		*slot = registers_of(&cpu);
	}
	return ret->n ? 0 : err_set(err, -ENOENT, "no vCPU of domain %u is up", id);
}

int xen_domain_pv_registers(const struct xen_host *host, uint16_t id, registers_list *ret,
			    struct err *err)
{
	xc_dominfo_t info;
	int r = get_info(host, id, &info, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i <= info.max_vcpu_id && i < CPUS_MAX; i++) {
		vcpu_guest_context_any_t context = { 0 };
		struct registers registers, *slot;

		errno = 0;
		if (host->libs->ctrl_getcontext_pv(host->ctrl, id, i, &context) < 0) {
			/* A vCPU that the guest has not started yet. */
			if (errno == ENODATA || errno == ENOENT)
				continue;
			return refused(errno_or(-EIO), "registers", err);
		}
		if (!xen_context_read(&context.c, true, &registers))
			continue;
		slot = vec_add(ret);
		if (!slot)
			return err_set(err, -ENOMEM, "no memory for registers");
		*slot = registers;
	}
	return ret->n ? 0 : err_set(err, -ENOENT, "no vCPU of domain %u is up", id);
}
