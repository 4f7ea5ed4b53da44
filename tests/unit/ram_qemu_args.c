/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/qemu_args.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"

/* @words: the command line, with '|' where a NUL shall be. */
static int parse(const char *words, struct qemu_args *args, struct err *err)
{
	cleanup(freep) char *text = strdup(words);
	size_t n = strlen(words);

	for (size_t i = 0; i < n; i++)
		if (text[i] == '|')
			text[i] = '\0';
	return qemu_args_parse(text, n + 1, args, err);
}

static void must_parse(const char *words, struct qemu_args *args)
{
	struct err err = { 0 };

	if (parse(words, args, &err) < 0)
		fail_msg("%s: %s", words, err.text);
}

#define assert_text(got, want)                          \
	do {                                            \
		assert_non_null(got);                   \
		assert_string_equal(got, want);         \
	} while (0)

static void memory_in_all_its_forms(void **state)
{
	static const struct { const char *words; uint64_t mib; } lines[] = {
		{ "qemu", 128 }, { "qemu|-m|512", 512 }, { "qemu|--m|512", 512 },
		{ "qemu|-m|1G", 1024 }, { "qemu|-m|size=2G", 2048 },
		{ "qemu|-m|size=2097152k,slots=16,maxmem=4194304k", 2048 },
		{ "qemu|-m|512,slots=2,maxmem=4G", 512 }, { "qemu|-m|0.5G", 512 },
		{ "qemu|-m|512|-m|1G", 1024 }, { "qemu|-m|2G|-m|slots=4,maxmem=8G", 2048 },
		{ "qemu|-object|memory-backend-ram,id=m,size=3G|-M|q35,memory-backend=m", 3072 },
		{ "qemu|-M|q35,memory.size=1073741824", 1024 }, { "qemu|-M|pc,memory.size=2G", 2048 },
		{ "qemu|-append|-m|-m|256", 256 }, { "qemu|-m", 128 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct qemu_args args;

		must_parse(lines[i].words, &args);
		assert_int_equal(qemu_args_ram_bytes(&args) >> 20, lines[i].mib);
		qemu_args_free(&args);
	}
}

static void a_guest_of_libvirt(void **state)
{
	static const char words[] =
		"/usr/bin/qemu-system-x86_64|-name|guest=web,debug-threads=on|-S|-object|"
		"{\"qom-type\":\"secret\",\"id\":\"masterKey0\",\"format\":\"raw\"}|"
		"-machine|pc-q35-7.2,usb=off,vmport=off,dump-guest-core=off,memory-backend=pc.ram|"
		"-accel|kvm|-cpu|host,migratable=on|-m|2048|-object|"
		"{\"qom-type\":\"memory-backend-memfd\",\"id\":\"pc.ram\",\"share\":true,"
		"\"x-use-canonical-path-for-ramblock-id\":false,\"size\":2147483648}|"
		"-overcommit|mem-lock=off|-smp|4,sockets=4,cores=1,threads=1|"
		"-uuid|6b1f0a3e-0d2c-4b0f-9c29-3f3f3c1d2e11|-no-user-config|-nodefaults|"
		"-chardev|socket,id=charmonitor,fd=31,server=on,wait=off|"
		"-mon|chardev=charmonitor,id=monitor,mode=control|-incoming|defer|-msg|timestamp=on";
	struct qemu_args args;

	(void)state;
	must_parse(words, &args);
	assert_text(args.name, "web");
	assert_text(args.uuid, "6b1f0a3e-0d2c-4b0f-9c29-3f3f3c1d2e11");
	assert_text(args.machine, "pc-q35-7.2");
	assert_text(args.memory_backend, "pc.ram");
	assert_text(args.accel, "kvm");
	assert_text(args.cpu, "host");
	assert_true(args.stopped);
	assert_true(args.incoming);
	assert_int_equal(args.vcpus, 4);
	assert_int_equal(args.ram_bytes, 2ull << 30);
	assert_int_equal(args.backends.n, 1);
	assert_int_equal(args.backends.v[0].kind, QEMU_MEMORY_MEMFD);
	assert_true(args.backends.v[0].shared);
	assert_int_equal(args.backends.v[0].size_bytes, 2ull << 30);
	/* Its monitor has a descriptor, no path: nobody else can connect. */
	assert_int_equal(args.monitors.list.n, 0);
	assert_null(args.confidential);
	qemu_args_free(&args);
}

static void machines_are_merged(void **state)
{
	struct qemu_args args;

	(void)state;
	must_parse("qemu|-M|q35,accel=kvm:tcg|-machine|memory-backend=m|-enable-kvm|"
		   "-machine|max-ram-below-4g=1G", &args);
	assert_text(args.machine, "q35");
	assert_text(args.memory_backend, "m");
	assert_text(args.accel, "kvm");
	assert_int_equal(args.max_below_4g, 1 << 30);
	qemu_args_free(&args);
	must_parse("qemu|-machine|type=pc-i440fx-2.1,accel=tcg|-enable-kvm", &args);
	assert_text(args.machine, "pc-i440fx-2.1");
	assert_text(args.accel, "tcg");
	qemu_args_free(&args);
}

static void numa_nodes_come_in_the_order_of_their_ids(void **state)
{
	struct qemu_args args;

	(void)state;
	must_parse("qemu|-m|3G|-object|memory-backend-ram,id=a,size=1G|"
		   "-object|qom-type=memory-backend-file,id=b,size=2G,mem-path=/x,,y,share=on|"
		   "-numa|node,nodeid=1,memdev=b|-numa|dist,src=0,dst=1,val=20|"
		   "-numa|node,nodeid=0,memdev=a|-numa|cpu,node-id=0", &args);
	assert_int_equal(args.nodes.n, 2);
	assert_text(args.nodes.v[0].memdev, "a");
	assert_text(args.nodes.v[1].memdev, "b");
	assert_false(qemu_args_backend(&args, "a")->shared);
	assert_true(qemu_args_backend(&args, "b")->shared);
	assert_text(qemu_args_backend(&args, "b")->path, "/x,y");
	assert_null(qemu_args_backend(&args, "c"));
	qemu_args_free(&args);
}

/* A path is taken as it is, commas and all; the last one counts. */
static void kernel_that_is_booted(void **state)
{
	static const struct { const char *words, *kernel; } lines[] = {
		{ "qemu|-kernel|/boot/vmlinuz-1,2|-append|-kernel /x", "/boot/vmlinuz-1,2" },
		{ "qemu|-kernel|a|--kernel|b", "b" },
		{ "qemu|-machine|pc,kernel=/k", "/k" },
		{ "qemu|-append|kernel=/k", NULL },
		{ "qemu|-kernel", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct qemu_args args;

		must_parse(lines[i].words, &args);
		if (lines[i].kernel)
			assert_string_equal(args.kernel, lines[i].kernel);
		else
			assert_null(args.kernel);
		qemu_args_free(&args);
	}
}

static void virtual_cpus_are_counted(void **state)
{
	static const struct { const char *words; unsigned vcpus; } lines[] = {
		{ "qemu", 1 }, { "qemu|-smp|4", 4 }, { "qemu|-smp|cpus=3,maxcpus=8", 3 },
		{ "qemu|-smp|sockets=2,cores=4,threads=2", 16 }, { "qemu|-smp|maxcpus=6", 6 },
		{ "qemu|-smp|2,sockets=1,cores=4", 2 }, { "qemu|-smp|1000000", CPUS_MAX },
		{ "qemu|-smp|sockets=99999999,cores=99999999,threads=99999999", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct qemu_args args;

		must_parse(lines[i].words, &args);
		assert_int_equal(args.vcpus, lines[i].vcpus);
		qemu_args_free(&args);
	}
}

static void monitors_that_have_a_path(void **state)
{
	static const struct { const char *words; const char *path; } lines[] = {
		{ "qemu|-qmp|unix:/run/q,server=on,wait=off", "/run/q" },
		{ "qemu|-qmp|unix:/run/q,server,nowait", "/run/q" },
		{ "qemu|-qmp-pretty|unix:q.sock,server=on", "q.sock" },
		{ "qemu|-qmp|unix:path=/run/q,server=on", "/run/q" },
		{ "qemu|-chardev|socket,id=c,path=/run/q,server=on|-mon|chardev=c,mode=control",
		  "/run/q" },
		{ "qemu|-mon|c,mode=control|-chardev|socket,path=/run/q,id=c", "/run/q" },
		{ "qemu|-chardev|socket,id=c,path=/run/q|-qmp|chardev:c", "/run/q" },
		{ "qemu|-chardev|socket,id=c,path=/run/q|-mon|chardev=c,mode=readline", NULL },
		{ "qemu|-chardev|socket,id=c,path=/run/q|-mon|chardev=c", NULL },
		{ "qemu|-chardev|socket,id=c,path=/run/q,abstract=on|-qmp|chardev:c", NULL },
		{ "qemu|-chardev|pty,id=c,path=/run/q|-qmp|chardev:c", NULL },
		{ "qemu|-qmp|tcp:127.0.0.1:4444,server=on", NULL },
		{ "qemu|-qmp|stdio", NULL }, { "qemu|-qmp|none", NULL },
		{ "qemu|-monitor|unix:/run/q,server=on", NULL },
		{ "qemu|-append|-qmp|unix:/run/q", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct qemu_args args;

		must_parse(lines[i].words, &args);
		assert_int_equal(args.monitors.list.n, lines[i].path ? 1 : 0);
		if (lines[i].path)
			assert_text(args.monitors.list.v[0], lines[i].path);
		qemu_args_free(&args);
	}
}

static void confidential_guests_are_known(void **state)
{
	static const struct { const char *words; const char *type; } lines[] = {
		{ "qemu|-object|sev-guest,id=s,cbitpos=47|-M|q35,confidential-guest-support=s",
		  "sev-guest" },
		{ "qemu|-M|q35,confidential-guest-support=s|-object|sev-snp-guest,id=s",
		  "sev-snp-guest" },
		{ "qemu|-object|{\"qom-type\":\"tdx-guest\",\"id\":\"t\"}", "tdx-guest" },
		{ "qemu|-M|pc,memory-encryption=sev0", "sev0" },
		{ "qemu|-object|secret,id=sev-guest", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct qemu_args args;

		must_parse(lines[i].words, &args);
		if (lines[i].type)
			assert_text(args.confidential, lines[i].type);
		else
			assert_null(args.confidential);
		qemu_args_free(&args);
	}
}

static void room_for_more_memory_is_known(void **state)
{
	static const struct { const char *words; uint64_t slots, max_bytes; } table[] = {
		{ "qemu|-m|512,slots=3,maxmem=4G", 3, 4ull << 30 },
		{ "qemu|-m|size=524288k,slots=16,maxmem=1048576k", 16, 1ull << 30 },
		{ "qemu|-machine|q35,memory.size=512M,memory.slots=2,memory.max-size=2G", 2,
		  2ull << 30 },
		{ "qemu|-m|512", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct qemu_args args;

		must_parse(table[i].words, &args);
		assert_int_equal(args.slots, table[i].slots);
		assert_int_equal(args.max_bytes, table[i].max_bytes);
		qemu_args_free(&args);
	}
}

static void what_cannot_be_read_is_refused(void **state)
{
	static const struct { const char *words; int code; } lines[] = {
		{ "qemu|-m|lots", -EBADMSG }, { "qemu|-m|-5", -EBADMSG },
		{ "qemu|-object|{", -EBADMSG }, { "qemu|-m|99999999999999999999", -EBADMSG },
		{ "qemu|-object|memory-backend-ram,id=a,size=x", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct err err = { 0 };
		struct qemu_args args;

		assert_int_equal(parse(lines[i].words, &args, &err), lines[i].code);
		assert_int_equal(err.code, lines[i].code);
		qemu_args_free(&args);
	}
}

static void a_command_line_that_is_none(void **state)
{
	struct qemu_args args;

	(void)state;
	assert_int_equal(qemu_args_parse("", 0, &args, NULL), -EBADMSG);
	assert_int_equal(qemu_args_parse("qemu", 4, &args, NULL), -EBADMSG);
	assert_int_equal(qemu_args_parse("\0\0\0", 3, &args, NULL), 0);
	qemu_args_free(&args);
}

static void options_without_end_are_bounded(void **state)
{
	static const char *const options[] = {
		"|-object|memory-backend-ram,id=a,size=1G", "|-numa|node",
	};
	struct qemu_args args;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		cleanup(freep) char *words = calloc(QEMU_BACKENDS_MAX + 2, 64);

		strcpy(words, "qemu");
		for (unsigned n = 0; n <= QEMU_BACKENDS_MAX; n++)
			strcat(words, options[i]);
		assert_int_equal(parse(words, &args, NULL), -ELOOP);
		qemu_args_free(&args);
	}
}

static void binaries_of_qemu(void **state)
{
	static const struct { const char *path; enum qemu_binary binary; } paths[] = {
		{ "/usr/bin/qemu-system-x86_64", QEMU_BINARY_X86_64 },
		{ "/usr/bin/qemu-system-x86_64 (deleted)", QEMU_BINARY_X86_64 },
		{ "/nix/store/x/bin/.qemu-system-x86_64-wrapped", QEMU_BINARY_X86_64 },
		{ "qemu-system-x86_64-spice", QEMU_BINARY_X86_64 },
		{ "/usr/libexec/qemu-kvm", QEMU_BINARY_X86_64 },
		{ "/usr/bin/kvm", QEMU_BINARY_X86_64 },
		{ "/usr/libexec/qemu-kvm (deleted)", QEMU_BINARY_X86_64 },
		{ "/usr/bin/qemu-system-aarch64", QEMU_BINARY_OTHER },
		{ "/usr/bin/qemu-system-i386", QEMU_BINARY_OTHER },
		{ "/usr/bin/qemu-img", QEMU_BINARY_NONE },
		{ "/usr/bin/qemu-x86_64", QEMU_BINARY_NONE },
		{ "/usr/bin/python3", QEMU_BINARY_NONE },
		{ "kvm-ok", QEMU_BINARY_NONE }, { "", QEMU_BINARY_NONE }, { "/", QEMU_BINARY_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_int_equal(qemu_binary(paths[i].path), paths[i].binary);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_in_all_its_forms),
		cmocka_unit_test(a_guest_of_libvirt),
		cmocka_unit_test(machines_are_merged),
		cmocka_unit_test(numa_nodes_come_in_the_order_of_their_ids),
		cmocka_unit_test(kernel_that_is_booted),
		cmocka_unit_test(virtual_cpus_are_counted),
		cmocka_unit_test(monitors_that_have_a_path),
		cmocka_unit_test(confidential_guests_are_known),
		cmocka_unit_test(room_for_more_memory_is_known),
		cmocka_unit_test(what_cannot_be_read_is_refused),
		cmocka_unit_test(a_command_line_that_is_none),
		cmocka_unit_test(options_without_end_are_bounded),
		cmocka_unit_test(binaries_of_qemu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
