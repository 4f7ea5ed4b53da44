/* SPDX-License-Identifier: Apache-2.0 */

/* hvsmd - watches every guest of a host. */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "monitor/control.h"
#include "monitor/finder.h"
#include "monitor/journal.h"
#include "monitor/libvirt.h"
#include "monitor/parent.h"
#include "monitor/reaction.h"
#include "monitor/scanner.h"
#include "monitor/spawn.h"

#define EXIT_USAGE 2

static const char usage[] =
	"usage: hvsmd [--config FILE] [--foreground]\n"
	"       hvsmd --check-config [FILE]\n\n"
	"Watch every guest of this host: find them, look at them all the time in a sandbox,\n"
	"keep what was found, and answer `hvsm status`.\n\n"
	"  --config FILE          instead of " CONFIG_DEFAULT "\n"
	"  --check-config [FILE]  say what a configuration file sets, or what is wrong with it\n"
	"  --foreground           as it does anyway: it never goes to the background by itself\n"
	"  --help, --version\n\n"
	"The whole manual is hvsmd(8).\n";

struct options {
	const char *config;	/* NULL: the usual one, which need not be there */
	bool check;
};

/* 1: go on; 0: all is done; below: usage. */
static int parse(int argc, char **argv, struct options *ret)
{
	static const struct option names[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, 'k' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "hV", names, NULL)) != -1) {
		switch (c) {
		case 'c':
			ret->config = optarg;
			break;
		case 'k':
			ret->check = true;
			break;
		case 'f':
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("hvsmd " HVSM_VERSION);
			return 0;
		default:
			return -1;
		}
	}
	if (ret->check && optind < argc)
		ret->config = argv[optind++];
	return optind == argc ? 1 : -1;
}

/* Where no file was named there may be none: then all is as it is by default. */
static int load(const struct options *options, struct config **ret, const char **path,
		struct err *err)
{
	const char *file = options->config ? options->config : CONFIG_DEFAULT;
	int r = config_load(file, ret, err);

	*path = file;
	if (r == -ENOENT && !options->config) {
		*path = NULL;
		return config_parse("defaults", "", 0, ret, err);
	}
	return r;
}

/* For whoever has changed the file, before the daemon reads it. */
static int check(const struct options *options)
{
	const char *file = options->config ? options->config : CONFIG_DEFAULT;
	struct err err = { 0 };
	int r = config_check_print(file, stdout, &err);

	if (r == -ENOENT && !options->config && access(file, F_OK) < 0) {
		printf("%s: not there: all is as it is by default\n", file);
		r = 0;
	}
	if (r >= 0 && fflush(stdout) != 0)
		r = err_set(&err, -errno, "what is right cannot be said: %s", strerror(errno));
	if (r < 0)
		fprintf(stderr, "hvsmd: %s\n", err.code ? err.text : strerror(-r));
	return r < 0 ? EXIT_USAGE : EXIT_SUCCESS;
}

static int run(const struct options *options)
{
	struct config *config = NULL;
	struct err err = { 0 };
	const char *path;
	int r = load(options, &config, &path, &err);

	if (r < 0) {
		journal(LOG_ERR, "%s", err.code ? err.text : strerror(-r));
		return EXIT_USAGE;
	}
	if (geteuid() != 0) {
		config_free(&config);
		journal(LOG_ERR, "only root can open the memory of guests: start it as root");
		return EXIT_USAGE;
	}
	return parent_run(config, path);
}

/* What this process was executed for. */
static int play(const char *role)
{
	char name[16];

	/* For `ps`: what was executed is called "exe". */
	snprintf(name, sizeof(name), "hvsmd-%s", role);
	prctl(PR_SET_NAME, name);
	if (!strcmp(role, "control"))
		return control_run();
	if (!strcmp(role, LIBVIRT_ROLE))
		return libvirt_run();
	if (!strcmp(role, XEN_EVENTS_ROLE))
		return xen_events_run();
	/* What these hold ends with the process. */
	if (!strcmp(role, FINDER_ROLE))
		_exit(finder_run());
	if (!strcmp(role, SCANNER_ROLE))
		_exit(scanner_main(0));
	journal(LOG_ERR, "no role '%s'", role);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	const char *role = spawn_role_of(argc, argv);
	struct options options = { 0 };
	int r;

	if (role)
		return play(role);
	r = parse(argc, argv, &options);
	if (r < 0)
		fputs("hvsmd --help says how it is used\n", stderr);
	if (r <= 0)
		return r < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	return options.check ? check(&options) : run(&options);
}
