/* SPDX-License-Identifier: Apache-2.0 */
#include "make/package.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define ROOM (8u << 20)

static void *must(void *made)
{
	if (!made)
		abort();
	return made;
}

static struct blob copy_of(const void *data, size_t size)
{
	struct blob blob = { must(malloc(size ? size : 1)), size };

	memcpy(blob.data, data, size);
	return blob;
}

static void append(struct blob *blob, const void *data, size_t size)
{
	blob->data = must(realloc(blob->data, blob->size + size + 1));
	memcpy(blob->data + blob->size, data, size);
	blob->size += size;
}

static void append_text(struct blob *blob, const char *text)
{
	append(blob, text, strlen(text));
}

static void append_u32(struct blob *blob, uint32_t value)
{
	append(blob, &value, sizeof(value));
}

static void append_big(struct blob *blob, uint32_t value)
{
	append_u32(blob, htobe32(value));
}

static void pad(struct blob *blob, size_t align)
{
	while (blob->size % align)
		append(blob, "", 1);
}

static void add_filter(struct archive *to, enum packing packing)
{
	static int (*const filters[])(struct archive *) = {
		[PACKED_NOT] = archive_write_add_filter_none,
		[PACKED_GZIP] = archive_write_add_filter_gzip,
		[PACKED_BZIP2] = archive_write_add_filter_bzip2,
		[PACKED_XZ] = archive_write_add_filter_xz,
		[PACKED_LZMA] = archive_write_add_filter_lzma,
		[PACKED_ZSTD] = archive_write_add_filter_zstd,
		[PACKED_LZ4] = archive_write_add_filter_lz4,
	};

	if (filters[packing](to) != ARCHIVE_OK || archive_write_set_bytes_per_block(to, 0))
		abort();
	if (packing == PACKED_GZIP)	/* the same bytes each time */
		archive_write_set_filter_option(to, "gzip", "timestamp", NULL);
}

static void put_file(struct archive *to, const struct made_file *file)
{
	struct archive_entry *entry = must(archive_entry_new());

	archive_entry_set_pathname(entry, file->path);
	archive_entry_set_size(entry, (la_int64_t)file->blob.size);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, file->mode ? file->mode : 0644);
	archive_entry_set_nlink(entry, file->inode ? 2 : 1);
	archive_entry_set_ino(entry, file->inode);
	if (archive_write_header(to, entry) != ARCHIVE_OK ||
	    archive_write_data(to, file->blob.data, file->blob.size) !=
		    (la_ssize_t)file->blob.size)
		abort();
	archive_entry_free(entry);
}

/* An archive of files, packed as a whole. */
static struct blob archive_of(int (*format)(struct archive *), const struct made_file *files,
			      size_t n, enum packing packing)
{
	struct archive *to = must(archive_write_new());
	struct blob blob = { must(malloc(ROOM)), 0 };

	add_filter(to, packing);
	if (format(to) != ARCHIVE_OK ||
	    archive_write_open_memory(to, blob.data, ROOM, &blob.size) != ARCHIVE_OK)
		abort();
	for (size_t i = 0; i < n; i++)
		put_file(to, &files[i]);
	if (archive_write_free(to) != ARCHIVE_OK)
		abort();
	return blob;
}

/* Blocks of literals alone (lz4_Block_format.md), in the frame that the kernel uses. */
static struct blob lz4_legacy(const uint8_t *data, size_t size)
{
	struct blob block = {0}, blob = copy_of("\x02\x21\x4c\x18", 4);
	size_t left = size;

	if (size < 15) {
		append(&block, &(uint8_t){ (uint8_t)(size << 4) }, 1);
	} else {
		append(&block, "\xf0", 1);
		for (left -= 15; left >= 255; left -= 255)
			append(&block, "\xff", 1);
		append(&block, &(uint8_t){ (uint8_t)left }, 1);
	}
	append(&block, data, size);
	append_u32(&blob, (uint32_t)block.size);
	append(&blob, block.data, block.size);
	blob_free(&block);
	return blob;
}

struct blob make_packed(enum packing packing, const void *data, size_t size)
{
	const struct made_file file = { "raw", copy_of(data, size) };
	struct blob packed;

	if (packing == PACKED_LZ4_LEGACY)
		packed = lz4_legacy(data, size);
	else if (packing == PACKED_NOT)
		packed = copy_of(data, size);
	else
		packed = archive_of(archive_write_set_format_raw, &file, 1, packing);
	free(file.blob.data);
	return packed;
}

const char *make_build_id(unsigned char id, char ret[41])
{
	for (unsigned i = 0; i < 20; i++)
		snprintf(ret + 2 * i, 3, "%02x", id);
	return ret;
}

struct section {
	const char *name;
	uint32_t type;
	const void *data;
	size_t size;
};

/* Headers, sections, their names, their headers, in this order. */
static struct blob elf_of(uint16_t type, const struct section *sections, size_t n)
{
	Elf64_Ehdr head = {
		.e_ident = ELFMAG "\2\1\1", .e_type = type, .e_machine = EM_X86_64,
		.e_version = 1, .e_ehsize = sizeof(head), .e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = (uint16_t)(n + 2), .e_shstrndx = (uint16_t)(n + 1),
	};
	Elf64_Shdr headers[8] = {0};
	struct blob blob = copy_of(&head, sizeof(head)), names = copy_of("", 1);

	for (size_t i = 0; i < n; i++) {
		headers[i + 1] = (Elf64_Shdr){
			.sh_name = (uint32_t)names.size, .sh_type = sections[i].type,
			.sh_offset = blob.size, .sh_size = sections[i].size, .sh_addralign = 1,
		};
		append(&names, sections[i].name, strlen(sections[i].name) + 1);
		append(&blob, sections[i].data, sections[i].size);
		pad(&blob, 8);
	}
	headers[n + 1] = (Elf64_Shdr){
		.sh_name = (uint32_t)names.size, .sh_type = SHT_STRTAB, .sh_offset = blob.size,
		.sh_size = names.size + 10, .sh_addralign = 1,
	};
	append(&names, ".shstrtab", 10);
	append(&blob, names.data, names.size);
	blob_free(&names);
	pad(&blob, 8);
	head.e_shoff = blob.size;
	memcpy(blob.data, &head, sizeof(head));
	append(&blob, headers, (n + 2) * sizeof(*headers));
	return blob;
}

static void note_of(unsigned char id, uint8_t ret[36])
{
	const uint32_t head[] = { 4, 20, NT_GNU_BUILD_ID };

	memcpy(ret, head, sizeof(head));
	memcpy(ret + 12, "GNU", 4);
	memset(ret + 16, id, 20);
}

struct blob make_vmlinux(unsigned char id, const char *release, const char *version)
{
	char text[1024];
	uint8_t note[36];
	int n = snprintf(text, sizeof(text), "Linux version %%s %cLinux version %s (root@host) "
			 "(gcc (Debian 12.2.0-14) 12.2.0) #1 SMP %s (2025-01-01)\n", 0, release,
			 version);
	const struct section sections[] = {
		{ ".rodata", SHT_PROGBITS, text, (size_t)n + 1 },
		{ ".notes", SHT_NOTE, note, sizeof(note) },
	};
	struct blob blob;

	note_of(id, note);
	blob = elf_of(ET_EXEC, sections, ARRAY_SIZE(sections));
	append(&blob, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);	/* no relocations, of three kinds */
	return blob;
}

struct blob make_module(unsigned char id, const char *release)
{
	char text[256];
	uint8_t note[36];
	int n = snprintf(text, sizeof(text), "license=GPL%cvermagic=%s SMP mod_unload ", 0,
			 release);
	const struct section sections[] = {
		{ ".modinfo", SHT_PROGBITS, text, (size_t)n + 1 },
		{ ".note.gnu.build-id", SHT_NOTE, note, sizeof(note) },
	};

	note_of(id, note);
	return elf_of(ET_REL, sections, ARRAY_SIZE(sections));
}

struct blob make_bzimage(const struct blob *vmlinux, enum packing packing)
{
	struct blob payload = make_packed(packing, vmlinux->data, vmlinux->size);
	struct blob blob = { must(calloc(1, 1024)), 1024 };
	uint32_t numbers[2];

	/* The size of what comes out ends the packed bytes; gzip has it there already. */
	if (packing != PACKED_GZIP && packing != PACKED_NOT)
		append_u32(&payload, (uint32_t)vmlinux->size);
	blob.data[0x1f1] = 1;				/* one sector of setup behind the boot sector */
	memcpy(blob.data + 0x202, "HdrS\x0f\x02", 6);	/* boot protocol 2.15 */
	numbers[0] = 16;				/* payload_offset */
	numbers[1] = (uint32_t)payload.size;
	memcpy(blob.data + 0x248, numbers, sizeof(numbers));
	append(&blob, "head of the code", 16);
	append(&blob, payload.data, payload.size);
	append_text(&blob, "what follows");
	blob_free(&payload);
	return blob;
}

static const char *const suffixes[PACKINGS] = {
	"", ".gz", ".bz2", ".xz", ".lzma", ".zst",
};

struct blob make_deb(const char *package, const char *version, const struct made_file *files,
		     size_t n, enum packing packing)
{
	char control[512], names[2][32];
	struct made_file fields = { "./control", {0} };
	struct made_file members[] = {
		{ "debian-binary", copy_of("2.0\n", 4) }, { names[0], {0} }, { names[1], {0} },
	};
	struct blob deb;

	snprintf(control, sizeof(control), "Package: %s\nVersion: %s\nArchitecture: amd64\n",
		 package, version);
	strcpy(names[0], "control.tar.gz");
	snprintf(names[1], sizeof(names[1]), "data.tar%s", suffixes[packing]);
	fields.blob = copy_of(control, strlen(control));
	members[1].blob = archive_of(archive_write_set_format_gnutar, &fields, 1, PACKED_GZIP);
	members[2].blob = archive_of(archive_write_set_format_gnutar, files, n, packing);
	deb = archive_of(archive_write_set_format_ar_svr4, members, ARRAY_SIZE(members),
			 PACKED_NOT);
	blob_free(&fields.blob);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		blob_free(&members[i].blob);
	return deb;
}

/* A header of rpm with strings of these tags. */
static void append_header(struct blob *blob, const uint32_t *tags, const char *const *texts,
			  uint32_t n)
{
	struct blob store = {0};

	append(blob, "\x8e\xad\xe8\x01\0\0\0\0", 8);
	append_big(blob, n);
	for (uint32_t i = 0, size = 0; i <= n; i++) {
		if (i == n)
			append_big(blob, size);
		else
			size += (uint32_t)strlen(texts[i]) + 1;
	}
	for (uint32_t i = 0; i < n; i++) {
		append_big(blob, tags[i]);
		append_big(blob, 6);
		append_big(blob, (uint32_t)store.size);
		append_big(blob, 1);
		append(&store, texts[i], strlen(texts[i]) + 1);
	}
	append(blob, store.data ? store.data : (uint8_t *)"", store.size);
	blob_free(&store);
}

struct blob make_rpm(const char *package, const char *version, const char *release,
		     const struct made_file *files, size_t n, enum packing packing)
{
	const char *const fields[] = { package, version, release }, *const signature[] = { "x" };
	struct blob blob = copy_of("\xed\xab\xee\xdb\3\0\0\0\0\1", 10), payload;

	append(&blob, (char[86]){0}, 86);
	append_header(&blob, (const uint32_t[]){ 268 }, signature, 1);
	pad(&blob, 8);
	append_header(&blob, (const uint32_t[]){ 1000, 1001, 1002 }, fields, 3);
	payload = archive_of(archive_write_set_format_cpio_newc, files, n, packing);
	append(&blob, payload.data, payload.size);
	blob_free(&payload);
	return blob;
}

struct blob make_kernel_deb(unsigned char id, const char *release, const char *version)
{
	char paths[3][128], package[128], build[160];
	struct made_file files[3];
	struct blob vmlinux, deb;

	snprintf(build, sizeof(build), "Debian %s", version);
	snprintf(package, sizeof(package), "linux-image-%s", release);
	snprintf(paths[0], sizeof(paths[0]), "./boot/vmlinuz-%s", release);
	snprintf(paths[1], sizeof(paths[1]), "./lib/modules/%s/kernel/fs/ext4/ext4.ko", release);
	snprintf(paths[2], sizeof(paths[2]), "./lib/modules/%s/kernel/sound/snd-hda-intel.ko.xz",
		 release);
	vmlinux = make_vmlinux(id, release, build);
	files[0] = (struct made_file){ paths[0], make_bzimage(&vmlinux, PACKED_LZ4_LEGACY) };
	files[1] = (struct made_file){ paths[1], make_module((unsigned char)(id + 1), release) };
	files[2] = (struct made_file){ paths[2], make_module((unsigned char)(id + 2), release) };
	blob_free(&vmlinux);
	vmlinux = files[2].blob;
	files[2].blob = make_packed(PACKED_XZ, vmlinux.data, vmlinux.size);
	blob_free(&vmlinux);
	deb = make_deb(package, version, files, 3, PACKED_XZ);
	for (size_t i = 0; i < 3; i++)
		blob_free(&files[i].blob);
	return deb;
}

void make_file(const char *directory, const char *name, const struct blob *blob)
{
	cleanup(file_close) FILE *file = NULL;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = must(fopen(path, "wb"));
	if (fwrite(blob->data, 1, blob->size, file) != blob->size)
		abort();
}
