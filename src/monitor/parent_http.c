/* SPDX-License-Identifier: Apache-2.0 */

/* HTTP, seen from the parent; and how a configuration that was read again comes into force. */

#include <string.h>

#include "base/cleanup.h"
#include "base/notify.h"
#include "monitor/journal.h"
#include "monitor/parent.h"

static const struct settings_user *user_of(const struct parent *parent)
{
	return parent->is_root ? &parent->user : NULL;
}

int parent_http_start(struct parent *parent, struct err *err)
{
	const struct http_setup none = HTTP_SETUP_NONE;

	return http_setup_make(parent->config, user_of(parent), &none, &parent->http, err);
}

static int tell(struct parent *parent, const struct http_setup *setup, struct err *err)
{
	const struct link_http http = {
		.serial = ++parent->http_serial, .socket = setup->fd,
		.token = setup->has_token ? setup->token : NULL,
		.cert = setup->cert, .key = setup->key,
	};

	return link_send_http(&parent->link, &http, err);
}

int parent_http_tell(struct parent *parent, struct err *err)
{
	return tell(parent, &parent->http, err);
}

static void drop_next(struct parent *parent)
{
	http_setup_remove(&parent->next.http, &parent->http);
	http_setup_free(&parent->next.http);
	config_free(&parent->next.config);
}

static void refuse(struct parent *parent, const char *why)
{
	bool overtook = parent->next.overtook && parent->control_ready;
	struct err err = { 0 };

	parent->next.overtook = false;
	drop_next(parent);
	parent_incident(parent, 0, "the configuration stays as it was: %s", why);
	notify_tell("READY=1");
	if (overtook && parent_http_tell(parent, &err) < 0)
		parent_control_went(parent, err.text);
}

static void accept(struct parent *parent)
{
	http_setup_remove(&parent->http, &parent->next.http);
	http_setup_free(&parent->http);
	parent->http = parent->next.http;
	parent->next.http = HTTP_SETUP_NONE;
	parent->next.overtook = false;
	parent_apply(parent, take_ptr(&parent->next.config));
	notify_tell("READY=1");
}

void parent_reload(struct parent *parent, struct config *config)
{
	struct err err = { 0 };

	if (parent->next.config) {
		drop_next(parent);
		parent->next.overtook = true;
	}
	parent->next.config = config;
	if (http_setup_make(config, user_of(parent), &parent->http, &parent->next.http,
			    &err) < 0) {
		refuse(parent, err.text);
		return;
	}
	/* One that was only started has what held until now on its way: it is told again. */
	if (!parent->control_ready)
		accept(parent);
	if (parent->link.fd >= 0 &&
	    tell(parent, parent->next.config ? &parent->next.http : &parent->http, &err) < 0)
		parent_control_went(parent, err.text);
}

void parent_reload_lost(struct parent *parent)
{
	if (parent->next.config)
		refuse(parent, "control ended before it had tried it");
}

int parent_on_serving(struct channel *channel, struct message *message, void *ctx,
		      struct err *err)
{
	struct parent *parent = ctx;
	uint32_t serial = bytes_u32(&message->body);
	const char *why = bytes_text(&message->body);

	(void)channel;
	if (!bytes_at_end(&message->body))
		return err_set(err, -EPROTO, "an answer about HTTP that cannot be read");
	/* One that was overtaken by another. */
	if (serial != parent->http_serial)
		return 0;
	if (parent->next.config && why)
		refuse(parent, why);
	else if (parent->next.config)
		accept(parent);
	else if (why)
		parent_incident(parent, 0, "HTTP is not served: %s", why);
	else if (parent->http.listen)
		journal(LOG_INFO, "HTTP is served at %s", parent->http.listen);
	return 0;
}

void parent_http_stop(struct parent *parent)
{
	const struct http_setup none = HTTP_SETUP_NONE;

	drop_next(parent);
	http_setup_remove(&parent->http, &none);
	http_setup_free(&parent->http);
}
