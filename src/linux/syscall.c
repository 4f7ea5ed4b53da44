/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/syscall.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define NAME_MAX_BYTES 64u

/*
 * By number: the entry point without "sys_"; where that depends on the kernel (native or
 * compat, or the age of the kernel), alternatives. Numbers that no kernel of today uses are
 * left out.
 */
/* clang-format off */
static const char *const names_64[] = {
	[0] = "read", [1] = "write", [2] = "open", [3] = "close", [4] = "newstat",
	[5] = "newfstat", [6] = "newlstat", [7] = "poll", [8] = "lseek", [9] = "mmap",
	[10] = "mprotect", [11] = "munmap", [12] = "brk", [13] = "rt_sigaction",
	[14] = "rt_sigprocmask", [15] = "rt_sigreturn", [16] = "ioctl", [17] = "pread64",
	[18] = "pwrite64", [19] = "readv", [20] = "writev", [21] = "access", [22] = "pipe",
	[23] = "select", [24] = "sched_yield", [25] = "mremap", [26] = "msync",
	[27] = "mincore", [28] = "madvise", [29] = "shmget", [30] = "shmat", [31] = "shmctl",
	[32] = "dup", [33] = "dup2", [34] = "pause", [35] = "nanosleep", [36] = "getitimer",
	[37] = "alarm", [38] = "setitimer", [39] = "getpid", [40] = "sendfile64",
	[41] = "socket", [42] = "connect", [43] = "accept", [44] = "sendto", [45] = "recvfrom",
	[46] = "sendmsg", [47] = "recvmsg", [48] = "shutdown", [49] = "bind", [50] = "listen",
	[51] = "getsockname", [52] = "getpeername", [53] = "socketpair", [54] = "setsockopt",
	[55] = "getsockopt", [56] = "clone", [57] = "fork", [58] = "vfork", [59] = "execve",
	[60] = "exit", [61] = "wait4", [62] = "kill", [63] = "newuname", [64] = "semget",
	[65] = "semop", [66] = "semctl", [67] = "shmdt", [68] = "msgget", [69] = "msgsnd",
	[70] = "msgrcv", [71] = "msgctl", [72] = "fcntl", [73] = "flock", [74] = "fsync",
	[75] = "fdatasync", [76] = "truncate", [77] = "ftruncate", [78] = "getdents",
	[79] = "getcwd", [80] = "chdir", [81] = "fchdir", [82] = "rename", [83] = "mkdir",
	[84] = "rmdir", [85] = "creat", [86] = "link", [87] = "unlink", [88] = "symlink",
	[89] = "readlink", [90] = "chmod", [91] = "fchmod", [92] = "chown", [93] = "fchown",
	[94] = "lchown", [95] = "umask", [96] = "gettimeofday", [97] = "getrlimit",
	[98] = "getrusage", [99] = "sysinfo", [100] = "times", [101] = "ptrace",
	[102] = "getuid", [103] = "syslog", [104] = "getgid", [105] = "setuid",
	[106] = "setgid", [107] = "geteuid", [108] = "getegid", [109] = "setpgid",
	[110] = "getppid", [111] = "getpgrp", [112] = "setsid", [113] = "setreuid",
	[114] = "setregid", [115] = "getgroups", [116] = "setgroups", [117] = "setresuid",
	[118] = "getresuid", [119] = "setresgid", [120] = "getresgid", [121] = "getpgid",
	[122] = "setfsuid", [123] = "setfsgid", [124] = "getsid", [125] = "capget",
	[126] = "capset", [127] = "rt_sigpending", [128] = "rt_sigtimedwait",
	[129] = "rt_sigqueueinfo", [130] = "rt_sigsuspend", [131] = "sigaltstack",
	[132] = "utime", [133] = "mknod", [135] = "personality", [136] = "ustat",
	[137] = "statfs", [138] = "fstatfs", [139] = "sysfs", [140] = "getpriority",
	[141] = "setpriority", [142] = "sched_setparam", [143] = "sched_getparam",
	[144] = "sched_setscheduler", [145] = "sched_getscheduler",
	[146] = "sched_get_priority_max", [147] = "sched_get_priority_min",
	[148] = "sched_rr_get_interval", [149] = "mlock", [150] = "munlock",
	[151] = "mlockall", [152] = "munlockall", [153] = "vhangup", [154] = "modify_ldt",
	[155] = "pivot_root", [157] = "prctl", [158] = "arch_prctl", [159] = "adjtimex",
	[160] = "setrlimit", [161] = "chroot", [162] = "sync", [163] = "acct",
	[164] = "settimeofday", [165] = "mount", [166] = "umount", [167] = "swapon",
	[168] = "swapoff", [169] = "reboot", [170] = "sethostname", [171] = "setdomainname",
	[172] = "iopl", [173] = "ioperm", [175] = "init_module", [176] = "delete_module",
	[179] = "quotactl", [186] = "gettid", [187] = "readahead", [188] = "setxattr",
	[189] = "lsetxattr", [190] = "fsetxattr", [191] = "getxattr", [192] = "lgetxattr",
	[193] = "fgetxattr", [194] = "listxattr", [195] = "llistxattr", [196] = "flistxattr",
	[197] = "removexattr", [198] = "lremovexattr", [199] = "fremovexattr", [200] = "tkill",
	[201] = "time", [202] = "futex", [203] = "sched_setaffinity",
	[204] = "sched_getaffinity", [206] = "io_setup", [207] = "io_destroy",
	[208] = "io_getevents", [209] = "io_submit", [210] = "io_cancel",
	[212] = "lookup_dcookie", [213] = "epoll_create", [216] = "remap_file_pages",
	[217] = "getdents64", [218] = "set_tid_address", [219] = "restart_syscall",
	[220] = "semtimedop", [221] = "fadvise64", [222] = "timer_create",
	[223] = "timer_settime", [224] = "timer_gettime", [225] = "timer_getoverrun",
	[226] = "timer_delete", [227] = "clock_settime", [228] = "clock_gettime",
	[229] = "clock_getres", [230] = "clock_nanosleep", [231] = "exit_group",
	[232] = "epoll_wait", [233] = "epoll_ctl", [234] = "tgkill", [235] = "utimes",
	[237] = "mbind", [238] = "set_mempolicy", [239] = "get_mempolicy", [240] = "mq_open",
	[241] = "mq_unlink", [242] = "mq_timedsend", [243] = "mq_timedreceive",
	[244] = "mq_notify", [245] = "mq_getsetattr", [246] = "kexec_load", [247] = "waitid",
	[248] = "add_key", [249] = "request_key", [250] = "keyctl", [251] = "ioprio_set",
	[252] = "ioprio_get", [253] = "inotify_init", [254] = "inotify_add_watch",
	[255] = "inotify_rm_watch", [256] = "migrate_pages", [257] = "openat",
	[258] = "mkdirat", [259] = "mknodat", [260] = "fchownat", [261] = "futimesat",
	[262] = "newfstatat", [263] = "unlinkat", [264] = "renameat", [265] = "linkat",
	[266] = "symlinkat", [267] = "readlinkat", [268] = "fchmodat", [269] = "faccessat",
	[270] = "pselect6", [271] = "ppoll", [272] = "unshare", [273] = "set_robust_list",
	[274] = "get_robust_list", [275] = "splice", [276] = "tee", [277] = "sync_file_range",
	[278] = "vmsplice", [279] = "move_pages", [280] = "utimensat", [281] = "epoll_pwait",
	[282] = "signalfd", [283] = "timerfd_create", [284] = "eventfd", [285] = "fallocate",
	[286] = "timerfd_settime", [287] = "timerfd_gettime", [288] = "accept4",
	[289] = "signalfd4", [290] = "eventfd2", [291] = "epoll_create1", [292] = "dup3",
	[293] = "pipe2", [294] = "inotify_init1", [295] = "preadv", [296] = "pwritev",
	[297] = "rt_tgsigqueueinfo", [298] = "perf_event_open", [299] = "recvmmsg",
	[300] = "fanotify_init", [301] = "fanotify_mark", [302] = "prlimit64",
	[303] = "name_to_handle_at", [304] = "open_by_handle_at", [305] = "clock_adjtime",
	[306] = "syncfs", [307] = "sendmmsg", [308] = "setns", [309] = "getcpu",
	[310] = "process_vm_readv", [311] = "process_vm_writev", [312] = "kcmp",
	[313] = "finit_module", [314] = "sched_setattr", [315] = "sched_getattr",
	[316] = "renameat2", [317] = "seccomp", [318] = "getrandom", [319] = "memfd_create",
	[320] = "kexec_file_load", [321] = "bpf", [322] = "execveat", [323] = "userfaultfd",
	[324] = "membarrier", [325] = "mlock2", [326] = "copy_file_range", [327] = "preadv2",
	[328] = "pwritev2", [329] = "pkey_mprotect", [330] = "pkey_alloc", [331] = "pkey_free",
	[332] = "statx", [333] = "io_pgetevents", [334] = "rseq", [335] = "uretprobe",
	[336] = "uprobe", [424] = "pidfd_send_signal", [425] = "io_uring_setup",
	[426] = "io_uring_enter", [427] = "io_uring_register", [428] = "open_tree",
	[429] = "move_mount", [430] = "fsopen", [431] = "fsconfig", [432] = "fsmount",
	[433] = "fspick", [434] = "pidfd_open", [435] = "clone3", [436] = "close_range",
	[437] = "openat2", [438] = "pidfd_getfd", [439] = "faccessat2",
	[440] = "process_madvise", [441] = "epoll_pwait2", [442] = "mount_setattr",
	[443] = "quotactl_fd", [444] = "landlock_create_ruleset", [445] = "landlock_add_rule",
	[446] = "landlock_restrict_self", [447] = "memfd_secret", [448] = "process_mrelease",
	[449] = "futex_waitv", [450] = "set_mempolicy_home_node", [451] = "cachestat",
	[452] = "fchmodat2", [453] = "map_shadow_stack", [454] = "futex_wake",
	[455] = "futex_wait", [456] = "futex_requeue", [457] = "statmount",
	[458] = "listmount", [459] = "lsm_get_self_attr", [460] = "lsm_set_self_attr",
	[461] = "lsm_list_modules", [462] = "mseal", [463] = "setxattrat",
	[464] = "getxattrat", [465] = "listxattrat", [466] = "removexattrat",
	[467] = "open_tree_attr", [468] = "file_getattr", [469] = "file_setattr",
	[470] = "listns", [471] = "rseq_slice_yield",
};

static const char *const names_ia32[] = {
	[0] = "restart_syscall", [1] = "exit", [2] = "fork", [3] = "read", [4] = "write",
	[5] = "open", [6] = "close", [7] = "waitpid", [8] = "creat", [9] = "link",
	[10] = "unlink", [11] = "execve", [12] = "chdir", [13] = "time32", [14] = "mknod",
	[15] = "chmod", [16] = "lchown16", [18] = "stat", [19] = "lseek", [20] = "getpid",
	[21] = "mount", [22] = "oldumount", [23] = "setuid16", [24] = "getuid16",
	[25] = "stime32", [26] = "ptrace", [27] = "alarm", [28] = "fstat", [29] = "pause",
	[30] = "utime32", [33] = "access", [34] = "nice", [36] = "sync", [37] = "kill",
	[38] = "rename", [39] = "mkdir", [40] = "rmdir", [41] = "dup", [42] = "pipe",
	[43] = "times", [45] = "brk", [46] = "setgid16", [47] = "getgid16", [48] = "signal",
	[49] = "geteuid16", [50] = "getegid16", [51] = "acct", [52] = "umount", [54] = "ioctl",
	[55] = "fcntl|fcntl64", [57] = "setpgid", [59] = "olduname", [60] = "umask",
	[61] = "chroot", [62] = "ustat", [63] = "dup2", [64] = "getppid", [65] = "getpgrp",
	[66] = "setsid", [67] = "sigaction", [68] = "sgetmask", [69] = "ssetmask",
	[70] = "setreuid16", [71] = "setregid16", [72] = "sigsuspend", [73] = "sigpending",
	[74] = "sethostname", [75] = "setrlimit", [76] = "old_getrlimit", [77] = "getrusage",
	[78] = "gettimeofday", [79] = "settimeofday", [80] = "getgroups16",
	[81] = "setgroups16", [82] = "old_select", [83] = "symlink", [84] = "lstat",
	[85] = "readlink", [86] = "uselib", [87] = "swapon", [88] = "reboot",
	[89] = "old_readdir", [90] = "old_mmap|ia32_mmap", [91] = "munmap", [92] = "truncate",
	[93] = "ftruncate", [94] = "fchmod", [95] = "fchown16", [96] = "getpriority",
	[97] = "setpriority", [99] = "statfs", [100] = "fstatfs", [101] = "ioperm",
	[102] = "socketcall", [103] = "syslog", [104] = "setitimer", [105] = "getitimer",
	[106] = "newstat", [107] = "newlstat", [108] = "newfstat", [109] = "uname",
	[110] = "iopl", [111] = "vhangup", [113] = "vm86old|ni_syscall", [114] = "wait4",
	[115] = "swapoff", [116] = "sysinfo", [117] = "ipc", [118] = "fsync",
	[119] = "sigreturn", [120] = "clone|ia32_clone", [121] = "setdomainname",
	[122] = "newuname", [123] = "modify_ldt", [124] = "adjtimex_time32",
	[125] = "mprotect", [126] = "sigprocmask", [128] = "init_module",
	[129] = "delete_module", [131] = "quotactl", [132] = "getpgid", [133] = "fchdir",
	[134] = "bdflush", [135] = "sysfs", [136] = "personality", [138] = "setfsuid16",
	[139] = "setfsgid16", [140] = "llseek", [141] = "getdents", [142] = "select",
	[143] = "flock", [144] = "msync", [145] = "readv", [146] = "writev", [147] = "getsid",
	[148] = "fdatasync", [150] = "mlock", [151] = "munlock", [152] = "mlockall",
	[153] = "munlockall", [154] = "sched_setparam", [155] = "sched_getparam",
	[156] = "sched_setscheduler", [157] = "sched_getscheduler", [158] = "sched_yield",
	[159] = "sched_get_priority_max", [160] = "sched_get_priority_min",
	[161] = "sched_rr_get_interval_time32", [162] = "nanosleep_time32", [163] = "mremap",
	[164] = "setresuid16", [165] = "getresuid16", [166] = "vm86|ni_syscall", [168] = "poll",
	[170] = "setresgid16", [171] = "getresgid16", [172] = "prctl", [173] = "rt_sigreturn",
	[174] = "rt_sigaction", [175] = "rt_sigprocmask", [176] = "rt_sigpending",
	[177] = "rt_sigtimedwait_time32", [178] = "rt_sigqueueinfo", [179] = "rt_sigsuspend",
	[180] = "ia32_pread64", [181] = "ia32_pwrite64", [182] = "chown16", [183] = "getcwd",
	[184] = "capget", [185] = "capset", [186] = "sigaltstack", [187] = "sendfile",
	[190] = "vfork", [191] = "getrlimit", [192] = "mmap_pgoff", [193] = "ia32_truncate64",
	[194] = "ia32_ftruncate64", [195] = "stat64|ia32_stat64",
	[196] = "lstat64|ia32_lstat64", [197] = "fstat64|ia32_fstat64", [198] = "lchown",
	[199] = "getuid", [200] = "getgid", [201] = "geteuid", [202] = "getegid",
	[203] = "setreuid", [204] = "setregid", [205] = "getgroups", [206] = "setgroups",
	[207] = "fchown", [208] = "setresuid", [209] = "getresuid", [210] = "setresgid",
	[211] = "getresgid", [212] = "chown", [213] = "setuid", [214] = "setgid",
	[215] = "setfsuid", [216] = "setfsgid", [217] = "pivot_root", [218] = "mincore",
	[219] = "madvise", [220] = "getdents64", [221] = "fcntl64", [224] = "gettid",
	[225] = "ia32_readahead", [226] = "setxattr", [227] = "lsetxattr", [228] = "fsetxattr",
	[229] = "getxattr", [230] = "lgetxattr", [231] = "fgetxattr", [232] = "listxattr",
	[233] = "llistxattr", [234] = "flistxattr", [235] = "removexattr",
	[236] = "lremovexattr", [237] = "fremovexattr", [238] = "tkill", [239] = "sendfile64",
	[240] = "futex_time32", [241] = "sched_setaffinity", [242] = "sched_getaffinity",
	[243] = "set_thread_area", [244] = "get_thread_area", [245] = "io_setup",
	[246] = "io_destroy", [247] = "io_getevents_time32", [248] = "io_submit",
	[249] = "io_cancel", [250] = "ia32_fadvise64", [252] = "exit_group",
	[253] = "lookup_dcookie", [254] = "epoll_create", [255] = "epoll_ctl",
	[256] = "epoll_wait", [257] = "remap_file_pages", [258] = "set_tid_address",
	[259] = "timer_create", [260] = "timer_settime32", [261] = "timer_gettime32",
	[262] = "timer_getoverrun", [263] = "timer_delete", [264] = "clock_settime32",
	[265] = "clock_gettime32", [266] = "clock_getres_time32",
	[267] = "clock_nanosleep_time32", [268] = "statfs64", [269] = "fstatfs64",
	[270] = "tgkill", [271] = "utimes_time32", [272] = "ia32_fadvise64_64",
	[274] = "mbind", [275] = "get_mempolicy", [276] = "set_mempolicy", [277] = "mq_open",
	[278] = "mq_unlink", [279] = "mq_timedsend_time32", [280] = "mq_timedreceive_time32",
	[281] = "mq_notify", [282] = "mq_getsetattr", [283] = "kexec_load", [284] = "waitid",
	[286] = "add_key", [287] = "request_key", [288] = "keyctl", [289] = "ioprio_set",
	[290] = "ioprio_get", [291] = "inotify_init", [292] = "inotify_add_watch",
	[293] = "inotify_rm_watch", [294] = "migrate_pages", [295] = "openat",
	[296] = "mkdirat", [297] = "mknodat", [298] = "fchownat", [299] = "futimesat_time32",
	[300] = "fstatat64|ia32_fstatat64", [301] = "unlinkat", [302] = "renameat",
	[303] = "linkat", [304] = "symlinkat", [305] = "readlinkat", [306] = "fchmodat",
	[307] = "faccessat", [308] = "pselect6_time32", [309] = "ppoll_time32",
	[310] = "unshare", [311] = "set_robust_list", [312] = "get_robust_list",
	[313] = "splice", [314] = "ia32_sync_file_range", [315] = "tee", [316] = "vmsplice",
	[317] = "move_pages", [318] = "getcpu", [319] = "epoll_pwait",
	[320] = "utimensat_time32", [321] = "signalfd", [322] = "timerfd_create",
	[323] = "eventfd", [324] = "ia32_fallocate", [325] = "timerfd_settime32",
	[326] = "timerfd_gettime32", [327] = "signalfd4", [328] = "eventfd2",
	[329] = "epoll_create1", [330] = "dup3", [331] = "pipe2", [332] = "inotify_init1",
	[333] = "preadv", [334] = "pwritev", [335] = "rt_tgsigqueueinfo",
	[336] = "perf_event_open", [337] = "recvmmsg_time32", [338] = "fanotify_init",
	[339] = "fanotify_mark", [340] = "prlimit64", [341] = "name_to_handle_at",
	[342] = "open_by_handle_at", [343] = "clock_adjtime32", [344] = "syncfs",
	[345] = "sendmmsg", [346] = "setns", [347] = "process_vm_readv",
	[348] = "process_vm_writev", [349] = "kcmp", [350] = "finit_module",
	[351] = "sched_setattr", [352] = "sched_getattr", [353] = "renameat2",
	[354] = "seccomp", [355] = "getrandom", [356] = "memfd_create", [357] = "bpf",
	[358] = "execveat", [359] = "socket", [360] = "socketpair", [361] = "bind",
	[362] = "connect", [363] = "listen", [364] = "accept4", [365] = "getsockopt",
	[366] = "setsockopt", [367] = "getsockname", [368] = "getpeername", [369] = "sendto",
	[370] = "sendmsg", [371] = "recvfrom", [372] = "recvmsg", [373] = "shutdown",
	[374] = "userfaultfd", [375] = "membarrier", [376] = "mlock2",
	[377] = "copy_file_range", [378] = "preadv2", [379] = "pwritev2",
	[380] = "pkey_mprotect", [381] = "pkey_alloc", [382] = "pkey_free", [383] = "statx",
	[384] = "arch_prctl", [385] = "io_pgetevents|io_pgetevents_time32", [386] = "rseq",
	[393] = "semget", [394] = "semctl", [395] = "shmget", [396] = "shmctl",
	[397] = "shmat", [398] = "shmdt", [399] = "msgget", [400] = "msgsnd", [401] = "msgrcv",
	[402] = "msgctl", [403] = "clock_gettime", [404] = "clock_settime",
	[405] = "clock_adjtime", [406] = "clock_getres", [407] = "clock_nanosleep",
	[408] = "timer_gettime", [409] = "timer_settime", [410] = "timerfd_gettime",
	[411] = "timerfd_settime", [412] = "utimensat", [413] = "pselect6|pselect6_time64",
	[414] = "ppoll|ppoll_time64", [416] = "io_pgetevents|io_pgetevents_time64",
	[417] = "recvmmsg|recvmmsg_time64", [418] = "mq_timedsend", [419] = "mq_timedreceive",
	[420] = "semtimedop", [421] = "rt_sigtimedwait|rt_sigtimedwait_time64",
	[422] = "futex", [423] = "sched_rr_get_interval", [424] = "pidfd_send_signal",
	[425] = "io_uring_setup", [426] = "io_uring_enter", [427] = "io_uring_register",
	[428] = "open_tree", [429] = "move_mount", [430] = "fsopen", [431] = "fsconfig",
	[432] = "fsmount", [433] = "fspick", [434] = "pidfd_open", [435] = "clone3",
	[436] = "close_range", [437] = "openat2", [438] = "pidfd_getfd", [439] = "faccessat2",
	[440] = "process_madvise", [441] = "epoll_pwait2", [442] = "mount_setattr",
	[443] = "quotactl_fd", [444] = "landlock_create_ruleset", [445] = "landlock_add_rule",
	[446] = "landlock_restrict_self", [447] = "memfd_secret", [448] = "process_mrelease",
	[449] = "futex_waitv", [450] = "set_mempolicy_home_node", [451] = "cachestat",
	[452] = "fchmodat2", [453] = "map_shadow_stack", [454] = "futex_wake",
	[455] = "futex_wait", [456] = "futex_requeue", [457] = "statmount",
	[458] = "listmount", [459] = "lsm_get_self_attr", [460] = "lsm_set_self_attr",
	[461] = "lsm_list_modules", [462] = "mseal", [463] = "setxattrat",
	[464] = "getxattrat", [465] = "listxattrat", [466] = "removexattrat",
	[467] = "open_tree_attr", [468] = "file_getattr", [469] = "file_setattr",
	[470] = "listns", [471] = "rseq_slice_yield",
};
/* clang-format on */

static const char *entry_of(enum syscall_abi abi, uint32_t number)
{
	if (abi == SYSCALL_64)
		return number < ARRAY_SIZE(names_64) ? names_64[number] : NULL;
	if (abi == SYSCALL_IA32)
		return number < ARRAY_SIZE(names_ia32) ? names_ia32[number] : NULL;
	return NULL;
}

const char *syscall_name(enum syscall_abi abi, uint32_t number, char *buf, size_t size)
{
	const char *entry = entry_of(abi, number);

	if (!entry)
		return NULL;
	snprintf(buf, size, "%.*s", (int)strcspn(entry, "|"), entry);
	return buf;
}

/* Prefixes of the functions of each ABI, the most usual first. */
static const char *const prefixes[][4] = {
	[SYSCALL_64] = { "__x64_sys_", "sys_ni_syscall", NULL },
	[SYSCALL_IA32] = { "__ia32_compat_sys_", "__ia32_sys_", "__x64_sys_ni_syscall",
			   "sys_ni_syscall" },
	[SYSCALL_X32] = { "__x64_sys_", "__x64_compat_sys_", "__x32_compat_sys_",
			  "sys_ni_syscall" },
};

static bool is_kernel_text(const struct kernel *kernel, gva at)
{
	gva end = symbols_lookup(kernel->symbols, "_etext");

	return at.v >= kernel->text.v && at.v < kernel->end.v && at.v < end.v;
}

static bool is_handler(const struct kernel *kernel, enum syscall_abi abi, gva at)
{
	for (size_t i = 0; i < ARRAY_SIZE(prefixes[abi]) && prefixes[abi][i]; i++)
		if (symbols_is_start(kernel->symbols, at, prefixes[abi][i]))
			return true;
	return false;
}

bool syscall_is_ni(const struct kernel *kernel, gva handler)
{
	return symbols_is_start(kernel->symbols, handler, "__x64_sys_ni_syscall") ||
	       symbols_is_start(kernel->symbols, handler, "__ia32_sys_ni_syscall") ||
	       symbols_is_start(kernel->symbols, handler, "sys_ni_syscall");
}

/* Look one alternative up; true where @handler is it. */
static bool try_name(const struct kernel *kernel, enum syscall_abi abi, const char *name,
		     size_t len, gva handler, char *expected, size_t size)
{
	char symbol[NAME_MAX_BYTES];

	for (size_t i = 0; i < ARRAY_SIZE(prefixes[abi]) && prefixes[abi][i]; i++) {
		gva at;

		if (prefixes[abi][i][strlen(prefixes[abi][i]) - 1] != '_')
			continue;
		snprintf(symbol, sizeof(symbol), "%s%.*s", prefixes[abi][i], (int)len, name);
		at = symbols_lookup(kernel->symbols, symbol);
		if (!at.v)
			continue;
		if (!expected[0])
			snprintf(expected, size, "%s", symbol);
		if (at.v == handler.v) {
			snprintf(expected, size, "%s", symbol);
			return true;
		}
	}
	return false;
}

enum syscall_fit syscall_judge(const struct kernel *kernel, enum syscall_abi abi,
			       uint32_t number, gva handler, char *expected, size_t size)
{
	const char *entry = entry_of(abi, number);
	bool right = false, known;

	expected[0] = '\0';
	while (entry && *entry && !right) {
		size_t len = strcspn(entry, "|");

		right = try_name(kernel, abi, entry, len, handler, expected, size);
		entry += len + (entry[len] == '|');
	}
	known = expected[0];
	if (!known)
		snprintf(expected, size, "a function named %s*", prefixes[abi][0]);
	/* A symbol may be forged; that it lies in the image cannot be. */
	if (!is_kernel_text(kernel, handler) || (!right && !is_handler(kernel, abi, handler)))
		return SYSCALL_FOREIGN;
	return known && !right ? SYSCALL_OTHER : SYSCALL_RIGHT;
}
