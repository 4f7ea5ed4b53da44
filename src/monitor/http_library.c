/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/http_library.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"

#define HTTP_LIBRARY_NAME(name) { "MHD_" #name, offsetof(struct http_library, name) },

static const struct {
	const char *name;
	size_t offset;
} functions[] = { HTTP_LIBRARY_FUNCTIONS(HTTP_LIBRARY_NAME) };

static int load(struct http_library *library, struct err *err)
{
	void *handle = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return err_set(err, -ENOTSUP, "HTTP needs libmicrohttpd (Debian: libmicrohttpd12), "
					      "which is not installed");
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		void *at = dlsym(handle, functions[i].name);

		if (!at)
			return err_set(err, -ENOTSUP, "libmicrohttpd has no %s: it is too old",
				       functions[i].name);
		memcpy((char *)library + functions[i].offset, &at, sizeof(at));
	}
	return library->is_feature_supported(MHD_FEATURE_EPOLL) == MHD_YES ? 0 :
		err_set(err, -ENOTSUP, "libmicrohttpd was built without epoll");
}

int http_library(const struct http_library **ret, struct err *err)
{
	static struct http_library library;
	static bool loaded;
	int r = loaded ? 0 : load(&library, err);

	if (r < 0)
		return r;
	loaded = true;
	*ret = &library;
	return 0;
}
