/* SPDX-License-Identifier: Apache-2.0 */
#include "check/callbacks.h"

#include <stdio.h>

#include "check/code.h"

/* The image and the modules have the last 2 GiB (Documentation/arch/x86/x86_64/mm.rst). */
#define KERNEL_HALF 0xffffffff80000000ull

int callbacks_open(struct check_run *run, struct callbacks *ret, struct err *err)
{
	*ret = (struct callbacks){ .run = run };
	return check_owners(run, &ret->owners, err);
}

void callbacks_close(struct callbacks *callbacks)
{
	owners_close(&callbacks->owners);
}

/* Does an object lie among the modules, but in none that is listed? */
static bool is_homeless(const struct callbacks *callbacks, gva at)
{
	const struct kernel *kernel = check_kernel(callbacks->run);
	const struct modules *modules = owners_modules(callbacks->owners);

	if (at.v < KERNEL_HALF || (at.v >= kernel->text.v && at.v < kernel->end.v))
		return false;
	for (size_t i = 0; i < modules->list.n; i++)
		if (modules->list.v[i].found_by & MODULE_BY_LIST &&
		    module_has(&modules->list.v[i], at, NULL))
			return false;
	return true;
}

static bool is_good(const struct callbacks *callbacks, gva target, bool may_be_bpf)
{
	struct owner owner;

	if (owner_is_function(callbacks->owners, target))
		return true;
	if (!may_be_bpf)
		return false;
	/* What could not be found out is told by code_evidence(). */
	return owner_of(callbacks->owners, target, &owner, NULL) >= 0 && owner.kind == OWNER_BPF;
}

bool callbacks_is_sound(struct callbacks *callbacks, const struct callback *callback,
			bool may_be_bpf)
{
	callbacks->seen++;
	return is_good(callbacks, callback->target, may_be_bpf) &&
	       !is_homeless(callbacks, callback->object);
}

void callbacks_report(struct callbacks *callbacks, const struct callback *callback,
		      const char *kind, const char *name)
{
	struct check_run *run = callbacks->run;
	struct finding *finding;
	char what[96];

	finding = check_finding(run, SEVERITY_CRITICAL, kind, callback->object, "%s", name);
	snprintf(what, sizeof(what), "%s of a %s", callback->what, callback->kind);
	code_evidence(run, callbacks->owners, finding, what, callback->slot,
		      "a function of the kernel or of a listed module", callback->target);
	if (!is_homeless(callbacks, callback->object))
		return;
	if (owner_is_function(callbacks->owners, callback->target))
		finding_owner(finding, "no one (memory of no listed module)");
	finding_evidence(finding, "what holds it", callback->object, NULL,
			 "data of the kernel, of a listed module, or the heap",
			 "memory among the modules that is no listed one's");
}

int callbacks_end(struct callbacks *callbacks, int r, const char *what, uint64_t seen,
		  const struct err *why)
{
	check_covered(callbacks->run, what, seen);
	check_covered(callbacks->run, "callbacks", callbacks->seen);
	if (r == -ESRCH || r == -ENOMEM)
		return r;
	if (r < 0)
		check_inconclusive(callbacks->run, "%s", why->text);
	return 0;
}
