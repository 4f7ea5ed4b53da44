/* SPDX-License-Identifier: Apache-2.0 */

/*
 * packages DIRECTORY - write packages and kernels for the tests of the command line
 */
#include <stdio.h>

#include "base/limits.h"
#include "make/package.h"

static const char *directory;

static void save(const char *name, struct blob blob)
{
	make_file(directory, name, &blob);
	blob_free(&blob);
}

int main(int argc, char **argv)
{
	struct made_file file = { "lib/modules/6.1.0-99-amd64/a.ko", {0} };
	struct blob vmlinux, zeros = {0};

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	directory = argv[1];
	vmlinux = make_vmlinux(0x11, "6.1.0-99-amd64", "Debian 6.1.9-1");
	file.blob = make_module(0x22, "6.1.0-99-amd64");
	zeros.size = MODULE_FILE_MAX + 1;
	zeros.data = calloc(1, zeros.size);
	if (!zeros.data)
		return 1;
	save("good.deb", make_kernel_deb(0x11, "6.1.0-99-amd64", "6.1.9-1"));
	save("other.deb", make_kernel_deb(0x31, "5.10.0-99-amd64", "5.10.9-1"));
	save("good.rpm", make_rpm("kernel", "6.1.9", "1.fc40", &file, 1, PACKED_ZSTD));
	save("vmlinuz", make_bzimage(&vmlinux, PACKED_XZ));
	save("a.ko", make_module(0x22, "6.1.0-99-amd64"));
	save("bomb.ko.zst", make_packed(PACKED_ZSTD, zeros.data, zeros.size));
	blob_free(&zeros);
	blob_free(&vmlinux);
	blob_free(&file.blob);
	return 0;
}
