/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/hook.h"
#include "linux/maple.h"
#include "linux/xarray.h"

/*
 * Interrupts by number (kernel/irq/irqdesc.c): a radix tree, or from 6.5 on (721255b9826b) a
 * maple tree; their handlers, chips and domains; and handlers of NMIs (arch/x86/kernel/nmi.c).
 */
#define NMI_KINDS	4u	/* NMI_MAX: local, unknown, SERR, I/O check */
#define ACTIONS_MAX	1024u	/* handlers that share an interrupt */
#define CHIPS_MAX	16u	/* domains one above the other: MSI, remapping, vector */

struct irq_fields {
	struct field action, data;
	struct field action_next, action_name, secondary, parent_data;
	struct field nmi, nmi_head, nmi_list, nmi_name, nmi_handler;
	struct field domain_link, domain_name;
};

static const struct member irq_members[] = {
	MEMBER(struct irq_fields, action, "irq_desc.action"),
	MEMBER(struct irq_fields, data, "irq_desc.irq_data"),
	MEMBER(struct irq_fields, action_next, "irqaction.next"),
	MEMBER(struct irq_fields, action_name, "irqaction.name"),
	MEMBER(struct irq_fields, secondary, "irqaction.secondary"),
	MEMBER_OPTIONAL(struct irq_fields, parent_data, "irq_data.parent_data"),
	MEMBER_OPTIONAL(struct irq_fields, nmi, "nmi_desc"),
	MEMBER_OPTIONAL(struct irq_fields, nmi_head, "nmi_desc.head"),
	MEMBER_OPTIONAL(struct irq_fields, nmi_list, "nmiaction.list"),
	MEMBER_OPTIONAL(struct irq_fields, nmi_name, "nmiaction.name"),
	MEMBER_OPTIONAL(struct irq_fields, nmi_handler, "nmiaction.handler"),
	MEMBER_OPTIONAL(struct irq_fields, domain_link, "irq_domain.link"),
	MEMBER_OPTIONAL(struct irq_fields, domain_name, "irq_domain.name"),
};
LAYOUT(irq_layout, struct irq_fields, irq_members);

struct irqs {
	struct hook_walk *walk;
	const struct irq_fields *f;
};

static int visit_actions(struct irqs *irqs, gva action, const char *irq, struct err *err)
{
	struct hook_label label = { irqs->walk, irq, &irqs->f->action_name, NULL };
	int r = 0;

	for (uint32_t n = 0; r >= 0 && action.v; n++) {
		struct hook_object object = {
			.mechanism = "interrupt handler",
			.at = action,
			.print = hook_print_label,
			.ctx = &label,
			.registered = true,
		};

		if (n == ACTIONS_MAX || !gva_is_kernel(action))
			return fail(err, -EBADMSG, action, "handlers of %s do not end", irq);
		r = hook_members(irqs->walk, &object, "irqaction", err);
		if (r >= 0)
			r = field_ptr(irqs->walk->view, action, &irqs->f->secondary, &object.at,
				      err);
		if (r >= 0 && object.at.v)
			r = hook_members(irqs->walk, &object, "irqaction", err);
		if (r >= 0)
			r = field_ptr(irqs->walk->view, action, &irqs->f->action_next, &action,
				      err);
	}
	return r;
}

/* The chip of each domain that the interrupt goes through. */
static int visit_chips(struct irqs *irqs, const struct hook_object *irq, struct err *err)
{
	gva data = field_at(irq->at, &irqs->f->data);
	int r = 0;

	for (uint32_t n = 0; r >= 0 && irqs->f->parent_data.there; n++) {
		struct hook_object object = *irq;

		r = field_ptr(irqs->walk->view, data, &irqs->f->parent_data, &data, err);
		if (r < 0 || !data.v)
			break;
		if (n == CHIPS_MAX || !gva_is_kernel(data))
			return fail(err, -EBADMSG, data, "%s has no end of chips", irq->text);
		object.at = data;
		r = hook_members(irqs->walk, &object, "irq_data", err);
	}
	return r;
}

static int visit_irq(uint64_t number, uint64_t entry, void *ctx, struct err *err)
{
	struct irqs *irqs = ctx;
	char name[32];
	struct hook_object object = {
		.mechanism = "interrupt", .at = gva_of(entry), .text = name,
	};
	gva action;
	int r;

	snprintf(name, sizeof(name), "IRQ %llu", (unsigned long long)number);
	r = hook_members(irqs->walk, &object, "irq_desc", err);
	if (r >= 0)
		r = visit_chips(irqs, &object, err);
	if (r >= 0)
		r = field_ptr(irqs->walk->view, object.at, &irqs->f->action, &action, err);
	if (r >= 0)
		r = visit_actions(irqs, action, name, err);
	return partial_add(&irqs->walk->partial, r, err);
}

static int visit_range(const struct maple_range *range, void *ctx, struct err *err)
{
	return visit_irq(range->first, range->entry, ctx, err);
}

static int visit_irqs(struct irqs *irqs, struct err *err)
{
	const struct kernel *kernel = irqs->walk->kernel;
	gva tree = symbols_lookup(kernel->symbols, "sparse_irqs");

	if (tree.v)
		return maple_walk(kernel, irqs->walk->view, tree, IRQS_MAX, visit_range, irqs,
				  err);
	tree = symbols_lookup(kernel->symbols, "irq_desc_tree");
	if (!tree.v)
		return err_set(err, -ENOENT, "no tree of interrupts");
	return xarray_walk(kernel, irqs->walk->view, tree, IRQS_MAX, visit_irq, irqs, err);
}

static int visit_domain(gva link, void *ctx, struct err *err)
{
	struct irqs *irqs = ctx;
	struct hook_label label = {
		irqs->walk, "interrupt domain", &irqs->f->domain_name, NULL,
	};
	struct hook_object object = {
		.mechanism = "interrupt domain",
		.at = field_object(link, &irqs->f->domain_link),
		.print = hook_print_label,
		.ctx = &label,
	};

	return hook_members(irqs->walk, &object, "irq_domain", err);
}

static int visit_nmi(gva link, void *ctx, struct err *err)
{
	struct irqs *irqs = ctx;
	struct hook_label label = { irqs->walk, "NMI", &irqs->f->nmi_name, NULL };
	struct hook_object object = {
		.mechanism = "NMI handler",
		.at = field_object(link, &irqs->f->nmi_list),
		.print = hook_print_label,
		.ctx = &label,
		.registered = true,
	};

	return hook_members(irqs->walk, &object, "nmiaction", err);
}

static int visit_nmis(struct irqs *irqs, struct err *err)
{
	const struct irq_fields *f = irqs->f;
	gva desc = symbols_lookup(irqs->walk->kernel->symbols, "nmi_desc");
	int r = 0;

	if (!desc.v || !f->nmi.there || !f->nmi_head.there || !f->nmi_list.there)
		return 0;
	for (uint32_t i = 0; i < NMI_KINDS && r >= 0; i++) {
		char name[32];
		struct hook_object object = {
			.mechanism = "NMI handler",
			.at = gva_add(desc, (uint64_t)i * f->nmi.size_bytes),
			.text = name,
		};

		snprintf(name, sizeof(name), "NMIs of kind %u", i);
		r = hook_members(irqs->walk, &object, "nmi_desc", err);
		if (r >= 0)
			r = partial_add(&irqs->walk->partial,
					list_walk(irqs->walk->view,
						  field_at(object.at, &f->nmi_head), ACTIONS_MAX,
						  visit_nmi, irqs, err), err);
	}
	return r;
}

static int walk_irqs(struct hook_walk *walk, struct err *err)
{
	struct irqs irqs = { .walk = walk };
	gva domains = symbols_lookup(walk->kernel->symbols, "irq_domain_list");
	int r = types_layout(walk->kernel->types, &irq_layout, (const void **)&irqs.f, err);

	if (r >= 0)
		r = visit_irqs(&irqs, err);
	r = partial_add(&walk->partial, r, err);
	if (r >= 0 && domains.v && irqs.f->domain_link.there)
		r = list_walk(walk->view, domains, IRQS_MAX, visit_domain, &irqs, err);
	r = partial_add(&walk->partial, r, err);
	return r < 0 ? r : visit_nmis(&irqs, err);
}

const struct hook_source hooks_irq = { .id = "irqs", .walk = walk_irqs };
