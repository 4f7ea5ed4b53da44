/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_LIMITS_H
#define HVSM_BASE_LIMITS_H

/*
 * Every resource that a guest or a file could make us spend has its bound here, with the
 * reason for its size. Reaching one is an error (-ELOOP), never a silent end.
 */

/* Pages that one sweep may touch: 1 GiB; a sweep of a real guest needs some hundreds. */
#define VIEW_FUEL_SWEEP		(1u << 18)

/* Pages that attaching may touch: image (64 MiB), kallsyms and BTF, and the anchor search. */
#define VIEW_FUEL_ATTACH	(1u << 17)

/*
 * Pages kept in a view at a time: 32 MiB of host memory at most. A sweep of a guest with 200
 * tasks and 100 modules takes 4,000 to 6,000; one that needs more reads some again.
 */
#define VIEW_PAGES_MAX		8192u

/* Runs of mapped pages in one walk of an address space; a kernel half has some thousands. */
#define EXTENTS_MAX		(1u << 20)

/* The longest single read; a text section is below 32 MiB. */
#define VIEW_READ_MAX		(128u << 20)

/*
 * Places in a guest's memory that look like a running kernel: there are one or two, the one
 * that runs and what a reset left behind. A look at each may take as long as attaching.
 */
#define ANCHORS_MAX		8u

/* A kernel image from _text to _end: Debian's generic 7.2 is 54 MiB, KERNEL_IMAGE_SIZE 1 GiB. */
#define KERNEL_IMAGE_MAX	(160u << 20)

/* Symbols of one kernel: Debian's largest has 199,000. */
#define SYMBOLS_MAX		(1u << 20)

/*
 * Symbols at one address: whoever looks for the best name walks over them. In 5.10 all
 * __kstrtabns_* share one, 9,778 of them.
 */
#define SYMBOLS_AT_ONE_MAX	65536u

/* KSYM_NAME_LEN of the kernel is 512 from 6.1 (b8a94bfb3395). */
#define SYMBOL_NAME_MAX		512u

/* BTF of one kernel: 5.4 MB and 125,000 types seen. */
#define BTF_BYTES_MAX		(64u << 20)
#define BTF_TYPES_MAX		(1u << 20)

/* Anonymous structs and typedefs nest a few levels; a chain beyond this is a forgery. */
#define BTF_DEPTH_MAX		32u

/*
 * PID_MAX_LIMIT of 64-bit Linux is 4 Mi, but busy hosts have some 10,000 tasks. What is kept
 * of this many takes 40 MB of ours, the most that a forged list shall cost.
 */
#define TASKS_MAX		(1u << 17)

/*
 * Programs, arguments and control groups of all processes: a process writes its arguments
 * itself, and each may have 4 KiB of ours. 10,000 processes have some MiB.
 */
#define PROCESS_TEXT_MAX	(64u << 20)

/* Memory areas of one process: vm.max_map_count is 65530 unless raised. */
#define VMAS_MAX		(1u << 18)

/* Files that processes map as code: some 1,000, and each may have a path of 4 KiB. */
#define PROGRAMS_MAX		16384u

/* struct pid nests at most MAX_PID_NS_LEVEL (32) namespaces. */
#define PID_LEVELS_MAX		32u

/* Loaded modules: a generic kernel has some 100, allmodconfig under 10,000. */
#define MODULES_MAX		16384u

/* One kind of memory of one module: the largest (amdgpu) has 8 MiB of text. */
#define MODULE_AREA_MAX		(64u << 20)

/* Trees of virtual memory areas: at most 128 (mm/vmalloc.c, vmap_init_nodes). */
#define VMAP_NODES_MAX		128u

/* Virtual memory areas: each thread has one, and a busy kernel some 1,000 more. */
#define VMAP_AREAS_MAX		(1u << 18)

/* BPF programs and trampolines that are loaded; packs of 2 MiB that they live in. */
#define BPF_IMAGES_MAX		65536u
#define BPF_PACKS_MAX		4096u

/* Users of ftrace, each possibly with a trampoline: BPF and live patching make most. */
#define FTRACE_OPS_MAX		65536u

/* Kprobes in one of 64 buckets: a tracer that probes every function has some 1,000. */
#define KPROBES_MAX		16384u

/* Pages of instruction slots: each holds some 30 probes. */
#define KPROBE_PAGES_MAX	16384u

/* Numbers of system calls: 472 in 7.2, and 548 in a table that holds the x32 ones. */
#define SYSCALLS_MAX		4096u

/* Runs of executable pages in the kernel half: a module, a BPF program of 5.10 has one each. */
#define EXEC_RANGES_MAX		16384u

/* Those without an owner, for which a search is made: none on a sound kernel. */
#define EXEC_LOOKUPS_MAX	1024u

/* Pages of module data that are searched for a struct module: 256 MiB. */
#define MODULE_SCAN_PAGES_MAX	65536u

/* Workers of one pool: WQ_MAX_ACTIVE is 2048 in 6.12. */
#define WORKERS_MAX		8192u

/* Entries of /sys/module: modules and built-in ones that have parameters, some 300. */
#define MODULE_KOBJECTS_MAX	65536u

/* Symbols of one module and bytes of their names: amdgpu has 30,000 and 1 MiB. */
#define MODULE_SYMBOLS_MAX	(1u << 18)
#define MODULE_STRINGS_MAX	(16u << 20)

/* Sections of one module that were loaded: 60 are usual, a live patch has one per function. */
#define MODULE_SECTIONS_MAX	8192u

/* Of a module's object file: relocations (amdgpu has 500,000), and bytes that are loaded. */
#define KO_RELOCATIONS_MAX	(1u << 23)
#define KO_BYTES_MAX		(256u << 20)

/* Directories of sysctls, and entries of one: some 20 for each interface of each namespace. */
#define SYSCTLS_MAX		(1u << 18)

/* Files that the agent measured: its log has room for 1.7 million without code or path. */
#define MEASURED_FILES_MAX	(1u << 21)

/* Of one file with the same size and mtime, those that are compared: the newest. */
#define MEASURED_SAME_MAX	64u

/* Physical pages whose digest is kept: 1 GiB of code, in 16 MiB of ours. */
#define PAGE_DIGESTS_MAX	(1u << 18)

/* What is missing in the agent's eyes, since when: some processes start at any time. */
#define PATIENCE_MAX		(1u << 17)

/* … of which the next run of hvsm is to know. */
#define PATIENCE_SAVED_MAX	1024u

/* CPUs: NR_CPUS of Debian is 8192 (CONFIG_MAXSMP). */
#define CPUS_MAX		8192u

/* Depth of a directory entry under its root: PATH_MAX / 2. */
#define PATH_DEPTH_MAX		2048u
#define PATH_BYTES_MAX		4096u

/* Ranges of RAM that a guest has: holes, NUMA nodes, DIMMs. */
#define RAM_RANGES_MAX		1024u

/* Program headers of an ELF core: with paging=true QEMU writes one for each virtual mapping. */
#define IMAGE_HEADERS_MAX	(1u << 20)

/* Sections of a core of Xen: xl dump-core writes 8. */
#define IMAGE_SECTIONS_MAX	32u

/* Notes of an ELF core: QEMU writes 816 bytes for each CPU. */
#define IMAGE_NOTES_MAX		(8u << 20)

/* Memory that an ELF core has twice, and that is compared: kdump does so with the kernel. */
#define IMAGE_TWICE_MAX		(512u << 20)

/* /proc/PID/maps: vm.max_map_count is 65530 unless raised; a line has some 100 bytes. */
#define MAPS_AREAS_MAX		(1u << 17)
#define MAPS_BYTES_MAX		(32u << 20)

/* A command line of QEMU: libvirt writes some 10 KiB; the kernel allows 6 MiB. */
#define QEMU_CMDLINE_MAX	(1u << 20)

/* Keys of one QEMU option ("a=b,c=d"): the longest device has some 100. */
#define QEMU_OPTS_MAX		512u

/* Memory backends and NUMA nodes of one guest: QEMU's MAX_NODES is 128, DIMM slots 256. */
#define QEMU_BACKENDS_MAX	512u

/* DIMMs of one guest: ACPI_MAX_RAM_SLOTS of QEMU. */
#define QEMU_SLOTS_MAX		256u

/* Guest-physical addresses have 52 bits. */
#define RAM_ROOM_MAX		((uint64_t)1 << 52)

/* How much of QEMU's heap is searched for its tables: 10-40 MiB are usual. */
#define HEAP_SCAN_MAX		(128u << 20)

/* … and of those of its threads, of which each vCPU under emulation has up to 64 MiB. */
#define HEAP_THREADS_SCAN_MAX	(512u << 20)

/* Descriptors of QEMU that are looked through for the file behind its RAM: made at start. */
#define QEMU_FDS_MAX		1024u

/* One answer of QMP: the memory tree of a guest with 256 devices is some 200 KiB. */
#define QMP_MESSAGE_MAX		(8u << 20)

/* QMP sockets of one guest that are tried: each may cost the time that a greeting has. */
#define QMP_SOCKETS_MAX		4u

/* Messages that a peer may send before the one that we wait for: events. */
#define QMP_EVENTS_MAX		1024u

/*
 * A report: of TASKS_MAX processes it has 46 MB and 1.5 million values. JSON is read into some 100
 * bytes for each value.
 */
#define REPORT_BYTES_MAX	(64u << 20)
#define REPORT_VALUES_MAX	(2u << 20)

/* Lists and objects in each other: a report needs 4 levels (findings[].evidence[].found). */
#define REPORT_DEPTH_MAX	16u

/* Checks of one report: there are 65. */
#define REPORT_CHECKS_MAX	1024u

/* Findings of one report, of all its checks. */
#define REPORT_FINDINGS_MAX	(1u << 16)

/*
 * Findings that are open in one guest: what is open never expires, so whoever finds something else
 * in each sweep, and never says that it is over, would fill the disk.
 */
#define LEDGER_OPEN_MAX		(2 * REPORT_FINDINGS_MAX)

/* Findings of one check: a guest that was turned over altogether is told by fewer. */
#define FINDINGS_MAX		256u

/* Slots of one file table: sysctl fs.nr_open as the kernel sets it; they hold 8 bytes each. */
#define FDS_MAX			(1u << 20)

/* Open files of all tasks, and their paths: 100 times what a busy server has. */
#define FILES_MAX		(1u << 19)
#define FILE_PATHS_BYTES_MAX	(64u << 20)

/* Sockets of all namespaces, and their owners: a busy proxy has 300,000 (C10K was long ago). */
#define SOCKETS_MAX		(1u << 19)

/* Chains of one hash table: 512 Ki at most for TCP, unless thash_entries= says otherwise. */
#define SOCKET_HEADS_MAX	(1u << 22)

/* Network namespaces: one per container. */
#define NETS_MAX		(1u << 16)

/* Entries of one directory that are in memory: a mail spool or a cache may have 100,000. */
#define DENTRIES_MAX		(1u << 18)

/* Mounts of all namespaces: sysctl fs.mount-max allows 100,000 in one; their strings. */
#define MOUNTS_MAX		(1u << 18)
#define MOUNT_TEXT_BYTES_MAX	(64u << 20)
#define MOUNT_NAMESPACES_MAX	(1u << 16)

/* The printk ring: log_buf_len= of 16 MiB, 128 times Debian's; 1 record per 32 bytes. */
#define LOG_SIZE_BITS_MAX	24u
#define LOG_COUNT_BITS_MAX	19u

/*
 * Reference kernels: what a bzImage unpacks to (Debian's generic 7.2: 60 MiB with relocations),
 * one file or member of a package (vmlinux with DWARF has some 500 MiB), one module (amdgpu
 * has 25 MiB, ten times that with DWARF). Its symbols and types, unpacked, have 13 to 25 MiB.
 */
#define VMLINUX_MAX		(256u << 20)
#define PROFILE_MAX		(64u << 20)
#define REFERENCE_FILE_MAX	(1u << 30)
#define MODULE_FILE_MAX		(256u << 20)

/* Files in a directory of references, members of a package: linux-headers has 20,000. */
#define REFERENCE_FILES_MAX	(1u << 18)

/*
 * Who looks for a reference on behalf of a guest (finder.h): what it is asked, with all paths of
 * the configuration, and the list of modules that it found: 100 bytes each, with a path 4 KiB more.
 */
#define FINDER_REQUEST_MAX	(16u << 20)
#define PARCEL_MAX		(64u << 20)

/* What one package unpacks to: 0.5 GiB for the largest image, 6 GiB for one with DWARF. */
#define PACKAGE_BYTES_MAX	(16ull << 30)

/*
 * Known-good programs: files that are trusted of one source (a full desktop has 60,000), files
 * of a golden directory in all, and digests that are asked for while the store is open.
 */
#define TRUST_FILES_MAX		(1u << 20)
#define TRUST_WALK_MAX		(1u << 24)
#define TRUST_ASKED_MAX		(1u << 20)

/* Places where ftrace may be called, modules included: Debian's largest kernel has 55,000. */
#define FTRACE_SITES_MAX	(1u << 19)

/* What a baseline keeps of one boot: ro_after_init has 0.6 MiB, a module's code up to 8 MiB. */
#define BASELINE_ITEM_MAX	(16u << 20)
#define BASELINE_ITEMS_MAX	65536u
#define BASELINE_BYTES_MAX	(256u << 20)

/* Pointers to functions in one struct, those within it included: net_device_ops has 90. */
#define HOOK_SLOTS_MAX		512u

/* What is registered in one list or array: devices of a namespace, protocols, handlers. */
#define HOOK_OBJECTS_MAX	65536u
#define HOOK_ARRAY_MAX		1024u

/* Netfilter hooks of one place: the kernel's MAX_HOOK_COUNT (net/netfilter/core.c). */
#define NETFILTER_HOOKS_MAX	1024u

/* Entries of /proc that are not processes: some 1,000; each interrupt and interface has some. */
#define PROC_ENTRIES_MAX	(1u << 18)

/* Files and directories in /sys: some 20,000, 1,000 for each disk; control groups have more. */
#define SYSFS_NODES_MAX		(1u << 20)

/* Drivers, types, handlers in one list of the kernel: a generic one has some 300 algorithms. */
#define REGISTERED_MAX		65536u

/* Blocks on one chain of notifiers: each driver of a kind may have one, some 20 are usual. */
#define NOTIFIERS_MAX		4096u

/* Timers in one slot of the wheel or on one clock: a server has one or two for each socket. */
#define TIMERS_MAX		(1u << 19)

/* Pools of workers: two for each CPU, and one for each set of attributes and node. */
#define WORKER_POOLS_MAX	32768u

/* Workqueues: some 200; each file system that is mounted has some. */
#define WORKQUEUES_MAX		65536u

/* Work that waits in one list, interrupts' and tasklets' on one CPU. */
#define WORK_ITEMS_MAX		65536u

/* RCU callbacks that wait on one CPU: 10,000 are many (qhimark). */
#define RCU_CALLBACKS_MAX	(1u << 17)

/* Interrupt numbers: NR_IRQS of 8192 CPUs is 524,544. */
#define IRQS_MAX		(1u << 20)

/* What drivers and file systems register in one list: shrinkers (one per mount), clocks, PMUs. */
#define CALLBACKS_MAX		(1u << 18)

/* The host's copies of the agent: one has some 3 MiB, and there are a few builds at a time. */
#define AGENT_FILE_MAX		(64u << 20)
#define AGENT_BUILDS_MAX	64u

/* What is told of one agent, and processes that look like one: an attacker starts as many. */
#define AGENT_PROBLEMS_MAX	64u
#define AGENT_LOOKALIKES_MAX	32u

/*
 * Differences between inside and outside that are watched until they pass: some, for a moment. An
 * eighth of them is of one kind in one look, as many as a server opens connections in a second.
 */
#define SINCE_MAX		4096u

/* One finding, for a program or a webhook: 64 pieces of evidence are some 30 KiB. */
#define REACTION_MESSAGE_MAX	(1u << 20)

/* Attempts that are under way: each is a process, and each may take its time. */
#define REACTIONS_AT_ONCE_MAX	16u

/* What is counted for the rates: reactions times guests, of which a host has hundreds. */
#define REACTION_RATES_MAX	65536u

/* What was done of late: some 60,000 lines; the file before it is kept as well. */
#define AUDIT_LOG_BYTES_MAX	(16u << 20)

/*
 * What control asks for of one reaction after one report; the rest comes with the next one. All of
 * it, and what is answered, has room in the channel, whoever is slow.
 */
#define REACTIONS_ASKED_MAX	32u

/*
 * Findings of one guest that were reacted to, or allowed, and of which a report says nothing: where
 * a check never sees all, and finds something else each time, these would become ever more. What is
 * forgotten is reacted to again, and does not count as allowed.
 */
#define POLICY_KEPT_MAX		(1u << 16)

/* Network interfaces of one guest: some have ten. */
#define REACTION_NICS_MAX	64u

/* A configuration file: a rule for each of 1,000 guests is some 200 KiB. */
#define CONFIG_BYTES_MAX	(1u << 20)

/*
 * Behaviour: processes or threads that are remembered of one guest (300 bytes each), sockets,
 * and events that one look may tell (some KiB each): a busy host has 10,000 processes, and no
 * guest starts 1,000 in 100 ms.
 */
#define BEHAVIOUR_TASKS_MAX	(1u << 16)
#define BEHAVIOUR_SOCKETS_MAX	(1u << 16)
#define EVENTS_WAITING_MAX	1024u

/* Domains of one Xen host: DOMID_FIRST_RESERVED of its public headers. */
#define XEN_DOMAINS_MAX		0x7ff0u

/* Paths in xenstore that are asked for: a number and a few words. */
#define XEN_PATH_MAX		96u

/*
 * What is mapped of a Xen guest at a time: 64 windows of 64 frames, 16 MiB. Mapped frames stay
 * the guest's even if it gives them back, so they are few, and held for a second at most.
 */
#define XEN_WINDOWS		64u
#define XEN_WINDOW_FRAMES	64u
#define XEN_HELD_MS		1000u

/* Frames in one request to map: two pages of numbers for Xen. */
#define XEN_BATCH_FRAMES	512u

/*
 * Frames in one request of a scanner for memory that only its starter can read: 256 KiB, which
 * each such scanner and its starter share, and one bit each in an answer.
 */
#define FETCH_FRAMES_MAX	64u

/* Guest frames that may be RAM: 4 TiB; Xen's own limit for HVM is below that. */
#define XEN_FRAMES_MAX		(1ull << 30)

/*
 * Frames of a paravirtual guest, 64 GiB: each takes 4 bytes, and 8 more in the process that looks
 * for them by machine address.
 */
#define MACHINE_FRAMES_MAX	(1u << 24)

#endif
