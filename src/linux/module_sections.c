/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/module_sections.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/notes.h"

#define NOTE_BYTES 36u	/* header, "GNU", 20 bytes of ID */

struct section_fields {
	struct field attrs, list, name, private;
	struct field entry, address;
};

static const struct member section_members[] = {
	MEMBER_OPTIONAL(struct section_fields, attrs, "module.sect_attrs"),
	MEMBER_OPTIONAL(struct section_fields, list, "module_sect_attrs.grp.bin_attrs"),
	MEMBER_OPTIONAL(struct section_fields, name, "bin_attribute.attr.name"),
	MEMBER_OPTIONAL(struct section_fields, private, "bin_attribute.private"),
	/* Until 6.14 the address had a place of its own beside the attribute. */
	MEMBER_OPTIONAL(struct section_fields, entry, "module_sect_attr.battr"),
	MEMBER_OPTIONAL(struct section_fields, address, "module_sect_attr.address"),
};
LAYOUT(section_layout, struct section_fields, section_members);

static int read_section(struct view *view, const struct section_fields *f, gva attribute,
			struct module_section *section, struct err *err)
{
	gva name;
	int r;

	if (f->address.there && f->entry.there)
		r = field_ptr(view, field_object(attribute, &f->entry), &f->address, &section->at,
			      err);
	else
		r = field_ptr(view, attribute, &f->private, &section->at, err);
	if (r >= 0)
		r = field_ptr(view, attribute, &f->name, &name, err);
	if (r >= 0)
		r = view_string(view, name, section->name, sizeof(section->name), err);
	return r;
}

int module_sections_read(const struct kernel *kernel, struct view *view,
			 const struct module_info *module, struct module_sections *ret,
			 struct err *err)
{
	const struct section_fields *f;
	gva attrs, list, attribute;
	int r;

	r = types_layout(kernel->types, &section_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	if (!f->attrs.there || !f->list.there || !f->name.there ||
	    (!f->private.there && !f->address.there))
		return err_set(err, -ENOENT, "this kernel keeps no sections of modules");
	r = field_ptr(view, module->at, &f->attrs, &attrs, err);
	if (r >= 0 && !attrs.v)
		return fail(err, -ENOENT, module->at, "module without a list of its sections");
	if (r >= 0)
		r = field_ptr(view, attrs, &f->list, &list, err);
	for (unsigned i = 0; r >= 0; i++) {
		struct module_section *section;

		r = view_ptr(view, gva_add(list, i * 8ull), &attribute, err);
		if (r < 0 || !attribute.v)
			break;
		if (i == MODULE_SECTIONS_MAX)
			return fail(err, -ELOOP, list, "module of over %u sections",
				    MODULE_SECTIONS_MAX);
		section = vec_add(&ret->list);
		if (!section)
			return -ENOMEM;
		r = read_section(view, f, attribute, section, err);
	}
	return r < 0 ? wrap(err, r, "sections of the module at %#llx",
			    (unsigned long long)module->at.v) : 0;
}

void module_sections_free(struct module_sections *sections)
{
	vec_free(&sections->list);
}

int module_build_id(struct view *view, const struct module_info *module,
		    const struct module_sections *sections, char ret[41], struct err *err)
{
	static const char name[] = ".note.gnu.build-id";
	uint8_t note[NOTE_BYTES];

	ret[0] = '\0';
	for (size_t i = 0; i < sections->list.n; i++) {
		int r;

		if (strcmp(sections->list.v[i].name, name))
			continue;
		r = view_read(view, sections->list.v[i].at, note, sizeof(note), err);
		if (r < 0)
			return r;
		if (!notes_build_id(bytes_of(note, sizeof(note)), ret))
			break;
		return 0;
	}
	return fail(err, -ENOENT, module->at, "module without a build ID");
}
