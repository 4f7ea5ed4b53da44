/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kexec - boot another kernel from this one
 *
 *	kexec load KERNEL INITRD COMMAND-LINE
 *	kexec go
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "load")) {
		int kernel = open(argv[2], O_RDONLY | O_CLOEXEC);
		int initrd = open(argv[3], O_RDONLY | O_CLOEXEC);

		if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[4]) + 1, argv[4], 0UL)) {
			perror("kexec_file_load");
			return 1;
		}
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "go")) {
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
		perror("reboot");
		return 1;
	}
	fprintf(stderr, "usage: kexec load KERNEL INITRD COMMAND-LINE | kexec go\n");
	return 2;
}
