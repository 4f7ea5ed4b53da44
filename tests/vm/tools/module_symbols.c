/* SPDX-License-Identifier: Apache-2.0 */

/*
 * module-symbols TARGET - the symbols of a guest's modules, in the form of /proc/kallsyms
 *
 * For the tests: what linux/module_symbols.h reads, next to what the guest's kernel prints.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/module_symbols.h"
#include "ram/guests.h"

static int print_module(const struct kernel *kernel, struct view *view,
			const struct module_info *module, struct err *err)
{
	cleanup(module_symbols_free) struct module_symbols *symbols = NULL;
	int r = module_symbols_read(kernel, view, module, &symbols, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < module_symbols_count(symbols); i++) {
		struct module_symbol symbol = module_symbols_get(symbols, i);

		printf("%016" PRIx64 " %c %s\t[%s]\n", symbol.at.v, symbol.type, symbol.name,
		       module->name);
	}
	return 0;
}

static int print_all(const struct kernel *kernel, struct view *view, struct err *err)
{
	struct modules modules = {0};
	int r = modules_read(kernel, view, MODULE_BY_LIST, &modules, err);

	for (size_t i = 0; r >= 0 && i < modules.list.n; i++)
		r = print_module(kernel, view, &modules.list.v[i], err);
	modules_free(&modules);
	return r;
}

int main(int argc, char **argv)
{
	cleanup(ram_close) struct ram *ram = NULL;
	cleanup(view_close) struct view *view = NULL;
	cleanup(kernel_close) struct kernel *kernel = NULL;
	struct err err = {0};
	struct guest guest;
	int r;

	if (argc != 2)
		return 2;
	r = guests_resolve(argv[1], &guest, &ram, &err);
	if (r >= 0)
		r = view_open(ram, VIEW_FUEL_ATTACH, &view);
	if (r >= 0)
		r = kernel_open(view, &kernel, &err);
	if (r >= 0) {
		view_refuel(view, VIEW_FUEL_SWEEP);
		r = print_all(kernel, view, &err);
	}
	if (r < 0)
		fprintf(stderr, "module-symbols: %s\n", err.text);
	return r < 0;
}
