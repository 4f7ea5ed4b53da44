/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/control.h"

#include <grp.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/now.h"
#include "base/writer.h"
#include "check/check.h"
#include "monitor/event_line.h"
#include "monitor/heard.h"
#include "monitor/journal.h"
#include "monitor/sealed.h"
#include "report/encode.h"
#include "report/ledger.h"

/* Where nothing changes the ledger is told all the same that the guest was looked at. */
#define STORE_AGAIN_NS (600ull * 1000000000)

#define HOUR_US (3600ll * 1000000)

void control_incident(struct control *control, uint64_t number, const char *text)
{
	const struct picture_guest *guest = picture_guest(&control->picture, number);
	struct control_incident *at =
		&control->incidents[control->incidents_n++ % CONTROL_INCIDENTS_MAX];

	free(at->guest);
	free(at->text);
	at->time_ns = now_ns(CLOCK_REALTIME);
	at->guest = guest && guest->name ? strdup(guest->name) : NULL;
	at->text = strdup(text);
}

/* What nobody but control noticed. */
static void notice(struct control *control, const struct picture_guest *guest, const char *what,
		   const struct err *why)
{
	char text[400];

	snprintf(text, sizeof(text), "%s: %s", what, why->text);
	journal(LOG_WARNING, "%s: %s", guest->name ? guest->name : "?", text);
	control_incident(control, guest->number, text);
}

static int become(const struct link_setup *setup, struct err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "no new privileges: %s", strerror(errno));
	if (setup->uid == LINK_SELF)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(setup->gid, setup->gid, setup->gid) < 0 ||
	    setresuid(setup->uid, setup->uid, setup->uid) < 0)
		return err_set(err, -errno, "user %u: %s", setup->uid, strerror(errno));
	return 0;
}

static int on_setup(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct control *control = ctx;
	struct link_setup setup;
	int r = link_read_setup(message, &setup, err);

	if (r < 0)
		return r;
	if (control->ledger_path)
		return err_set(err, -EPROTO, "set up twice");
	r = become(&setup, err);
	if (r < 0)
		return r;
	control->ledger_path = strdup(setup.ledger);
	if (!control->ledger_path)
		return err_set(err, -ENOMEM, "no memory for a path");
	/* Where there is none, guests are watched and reactions carried out all the same. */
	control_ledger_open(control);
	control->started_ns = setup.started_ns;
	control->steady = setup.clock;
	control->host_us_per_s = setup.host_us_per_s;
	control->socket = take_fd(&message->fds[0]);
	r = serve_start(&control->server, &control->loop, control->socket, setup.gid,
			control_answer, control, err);
	return r < 0 ? r : channel_send(channel, LINK_READY, NULL, 0, NULL, 0, LINK_WAIT_MS, err);
}

static int on_guest(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct control *control = ctx;
	struct link_guest guest;
	int r = link_read_guest(message, &guest, err);

	(void)channel;
	return r < 0 ? r : picture_set(&control->picture, &guest);
}

static int on_gone(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct control *control = ctx;
	uint64_t number = bytes_u64(&message->body);
	const struct picture_guest *guest = picture_guest(&control->picture, number);

	(void)channel;
	(void)err;
	if (guest)
		control->counts.gone_cpu_ns += guest->cpu_ns;
	picture_remove(&control->picture, number);
	return 0;
}

/* What the scanner's report is worth for the schedule; nothing where it could not be read. */
static int answer_taken(struct channel *channel, uint64_t number, enum link_taken taken,
			const struct picture_report *report, struct err *err)
{
	uint8_t body[CHANNEL_BODY_MAX];
	struct writer w = writer_of(body, sizeof(body));

	write_u64(&w, number);
	write_u8(&w, (uint8_t)taken);
	write_u32(&w, (uint32_t)report->costs_n);
	for (size_t i = 0; i < report->costs_n; i++) {
		write_u32(&w, report->costs[i].check);
		write_u64(&w, report->costs[i].duration_ns);
	}
	return channel_send_written(channel, LINK_TAKEN, &w, NULL, 0, LINK_WAIT_MS, err);
}

static void json_drop(json_t **json)
{
	json_decref(*json);
}

static const char *text_or(const char *text, const char *other)
{
	return text ? text : other;
}

/* Who is told of findings, and of which guest. */
struct telling {
	struct control *control;
	const struct picture_guest *guest;
};

/* A finding that opened or closed: for the log, and for who watches. */
static int tell_finding(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	const struct telling *telling = ctx;
	bool allowed = policy_is_allowed(&telling->guest->memory, finding->id);
	cleanup(json_drop) json_t *line = NULL;
	cleanup(freep) char *text = NULL;
	const char *what = finding->closed_ns ? "closed" : "opened";

	(void)err;
	journal(finding->closed_ns || allowed ? LOG_NOTICE : LOG_WARNING,
		"finding %s %s: %s: %s%s, %s: %s", finding->id, what, finding->name,
		finding->severity, allowed ? ", allowed" : "", finding->check, finding->title);
	line = json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:b}",
			 "schema", "hvsm.finding/1", "change", what,
			 "time", encode_time(finding->closed_ns ? finding->closed_ns
							       : finding->last_seen_ns),
			 "guest", finding->guest, "name", finding->name, "id", finding->id,
			 "check", finding->check, "severity", finding->severity,
			 "title", finding->title, "allowed", allowed);
	text = json_dump_text(line, 0);
	if (text)
		serve_publish(&telling->control->server, text, strlen(text));
	return 0;
}

/* -ENOSPC and the like: the next report of the same is tried again, and a person told once. */
void control_trouble(struct control *control, const struct picture_guest *guest,
		     const struct err *why)
{
	if (!*control->trouble && guest) {
		notice(control, guest, "its report could not be stored", why);
	} else if (!*control->trouble) {
		journal(LOG_ERR, "no report can be stored: %s", why->text);
		control_incident(control, 0, why->text);
	}
	/* Why there is no ledger is known already. */
	if (why->code != -ENOTCONN)
		snprintf(control->trouble, sizeof(control->trouble), "%s", why->text);
}

static bool store(struct control *control, struct picture_guest *guest,
		  const json_t *marked)
{
	const struct ledger_origin origin = { .guest = guest->key };
	struct ledger_filter filter = { .key = guest->key };
	struct telling telling = { control, guest };
	cleanup(freep) char *text = json_dump_text(marked, 0);
	struct ledger_added added;
	struct err why = { 0 };
	int r = text ? ledger_add(control->ledger, &origin, text, strlen(text), &added, &why)
		     : err_set(&why, -ENOMEM, "no memory for a report");

	if (r < 0) {
		control_trouble(control, guest, &why);
		if (r == -ESTALE)
			control_ledger_lost(control);
		return false;
	}
	if (*control->trouble)
		journal(LOG_NOTICE, "reports are stored again");
	control->trouble[0] = '\0';
	control->stored++;
	control->counts.opened += added.opened;
	control->counts.closed += added.closed;
	guest->stored_ns = now_ns(CLOCK_MONOTONIC);
	filter.after_seq = added.seq - 1;
	if ((added.opened || added.closed) &&
	    ledger_each_finding(control->ledger, &filter, tell_finding, &telling, &why) < 0)
		notice(control, guest, "what it opened or closed cannot be told", &why);
	return true;
}

static struct identity identity_of(const struct picture_guest *guest)
{
	return (struct identity){
		.name = guest->name, .uuid = guest->uuid, .target = guest->target,
		.hypervisor = guest->hypervisor,
	};
}

/* Is it a report of this guest, and of the form that others may rely on? */
static int hear(const struct picture_guest *guest, const struct sealed *json,
		enum verdict verdict, json_t **ret, struct err *err)
{
	const struct identity identity = identity_of(guest);

	if (verdict > VERDICT_COMPROMISED)
		return err_set(err, -EPROTO, "a verdict that there is not");
	return heard_report(json, &identity, verdict, ret, err);
}

/* As the scanner says: within an hour, so that a sum of them stays one. */
static uint64_t duration_us(const json_t *report)
{
	json_int_t us = json_integer_value(json_object_get(json_object_get(report, "sweep"),
							   "duration_us"));

	return us < 0 ? 0 : us > HOUR_US ? HOUR_US : (uint64_t)us;
}

static int on_report(struct channel *channel, struct message *message, void *ctx,
		     struct err *err)
{
	struct control *control = ctx;
	uint64_t number = bytes_u64(&message->body);
	struct picture_guest *guest = picture_guest(&control->picture, number);
	cleanup(picture_report_free) struct picture_report report = { 0 };
	cleanup(sealed_unmap) struct sealed json = { 0 };
	cleanup(json_drop) json_t *root = NULL;
	cleanup(judgement_free) struct judgement judgement = { 0 };
	enum verdict verdict = bytes_u8(&message->body);
	struct err why = { 0 };
	bool stored = false;
	int r;

	/* It went meanwhile. */
	if (!guest)
		return 0;
	control->received++;
	r = sealed_map(message->fds[0], LINK_REPORT_MAX, &json, &why);
	if (r >= 0)
		r = hear(guest, &json, verdict, &root, &why);
	if (r >= 0)
		r = control_judge(control, guest, root, &judgement, &why);
	if (r >= 0)
		r = picture_read(&control->picture, guest, root, &report, &why);
	if (r < 0) {
		control->counts.refused++;
		notice(control, guest, "its scanner's report is not taken", &why);
		return answer_taken(channel, number, r == -EPROTO || r == -EBADMSG ?
				    LINK_REFUSED : LINK_HEARD, &report, err);
	}
	guest->sweeps++;
	guest->swept_ns = now_ns(CLOCK_REALTIME);
	metrics_took(&control->counts.sweeps, duration_us(root));
	/* Whatever becomes of the report, something may have to be done now. */
	r = control_react(control, guest, &judgement, root, err);
	if (r < 0)
		return r;
	/* What could not be stored is as if it had not come, so that it is stored next time. */
	if (report.changed || now_ns(CLOCK_MONOTONIC) - guest->stored_ns > STORE_AGAIN_NS)
		stored = store(control, guest, root);
	if (stored || !report.changed)
		picture_take(guest, &report);
	/* It may have begun before the configuration was read again. */
	control_forget_off(control, guest);
	return answer_taken(channel, number, stored ? LINK_STORED : LINK_HEARD, &report, err);
}

/* Its scanner may be the guest's by now: of others it tells nothing. */
static void publish(struct control *control, const struct picture_guest *guest,
		    const struct event_line *line)
{
	const struct identity identity = identity_of(guest);
	cleanup(freep) char *text = NULL;

	if (!serve_is_watched(&control->server))
		return;
	text = event_line_of(line, &identity);
	if (text)
		serve_publish(&control->server, text, strlen(text));
}

/* Once for all lines: the parent answers each, and who floods it would have us wait for another. */
static int tell_paused(struct channel *channel, uint64_t number, bool paused, struct err *err)
{
	uint8_t body[9];
	struct writer w = writer_of(body, sizeof(body));

	write_u64(&w, number);
	write_u8(&w, paused);
	return channel_send_written(channel, LINK_PAUSED, &w, NULL, 0, LINK_WAIT_MS, err);
}

static int on_events(struct channel *channel, struct message *message, void *ctx,
		     struct err *err)
{
	struct control *control = ctx;
	uint64_t number = bytes_u64(&message->body);
	const struct picture_guest *guest = picture_guest(&control->picture, number);
	cleanup(sealed_unmap) struct sealed lines = { 0 };
	struct event_line line, last = { 0 };
	bool alarms = false;
	struct bytes rest;
	struct err why = { 0 };
	int r = 0;

	if (!guest)
		return 0;
	if (sealed_map(message->fds[0], LINK_EVENTS_MAX, &lines, &why) < 0) {
		notice(control, guest, "its scanner's events are not taken", &why);
		return 0;
	}
	rest = bytes_of(lines.data, lines.size);
	while (event_line_next(&rest, &line)) {
		if (line.paused || line.resumed)
			last = line;
		alarms |= line.alarms;
		publish(control, guest, &line);
	}
	if (last.paused || last.resumed)
		r = tell_paused(channel, number, last.paused, err);
	return r < 0 || !alarms ? r : link_send_number(channel, LINK_ALARM, number, NULL, err);
}

static int on_incident(struct channel *channel, struct message *message, void *ctx,
		       struct err *err)
{
	uint64_t number = bytes_u64(&message->body);
	const char *text = bytes_text(&message->body);

	(void)channel;
	if (!bytes_at_end(&message->body))
		return err_set(err, -EPROTO, "an incident that cannot be read");
	control_incident(ctx, number, text_or(text, "?"));
	return 0;
}

static int on_quit(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct control *control = ctx;

	(void)channel;
	(void)message;
	(void)err;
	loop_stop(&control->loop);
	return 0;
}

static int on_parent(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct control *control = ctx;
	int r = channel_dispatch(&control->parent, control, 0, err);

	(void)fd;
	(void)events;
	return r == -ETIMEDOUT ? 0 : r;
}

static int on_tick(void *ctx, struct err *err)
{
	struct control *control = ctx;
	uint64_t real, boot;

	(void)err;
	if (steady_read(&real, &boot))
		control_clock(control, real, boot);
	control_ledger_open(control);
	control_expire(control, now_ns(CLOCK_MONOTONIC), real);
	serve_tick(&control->server, now_ns(CLOCK_MONOTONIC));
	http_tick(control->http);
	return 0;
}

static int list_checks(struct control *control)
{
	const struct check *const *checks = checks_all(&control->picture.ids_n);

	control->ids = calloc(control->picture.ids_n + 1, sizeof(*control->ids));
	if (!control->ids)
		return -ENOMEM;
	for (size_t i = 0; i < control->picture.ids_n; i++)
		control->ids[i] = checks[i]->id;
	control->picture.ids = control->ids;
	return 0;
}

static void deinit(struct control *control)
{
	http_stop(&control->http);
	serve_stop(&control->server);
	fd_close(&control->socket);
	ledger_close(&control->ledger);
	audit_log_close(&control->audits);
	config_free(&control->config);
	picture_free(&control->picture);
	loop_deinit(&control->loop);
	channel_close(&control->parent);
	for (size_t i = 0; i < CONTROL_INCIDENTS_MAX; i++) {
		free(control->incidents[i].guest);
		free(control->incidents[i].text);
	}
	free(control->ids);
	free(control->ledger_path);
}

int control_run(void)
{
	static const struct link_handlers handlers = {
		.setup = on_setup, .config = control_on_config, .guest = on_guest, .gone = on_gone,
		.report = on_report, .events = on_events, .incident = on_incident,
		.audit = control_on_audit, .http = control_on_http, .quit = on_quit,
	};
	struct control control = { .parent = CHANNEL_NONE, .socket = -1,
				   .audits = AUDIT_LOG_NONE };
	struct err err = { 0 };
	int r;

	/* Who serves must not end because a client did. */
	signal(SIGPIPE, SIG_IGN);
	link_rules(&handlers, control.rules);
	channel_init(&control.parent, CHANNEL_FD, ROLE_CONTROL, ROLE_STARTER, control.rules,
		     LINK_RULES);
	r = loop_init(&control.loop, 1000, &err);
	if (r >= 0)
		r = list_checks(&control);
	if (r >= 0)
		r = loop_every(&control.loop, on_tick, &control, &err);
	if (r >= 0)
		r = loop_add(&control.loop, CHANNEL_FD, EPOLLIN, on_parent, &control, &err);
	if (r >= 0)
		r = loop_run(&control.loop, &err);
	deinit(&control);
	/* The parent ended without a word: it was killed, and who starts it starts all anew. */
	if (r < 0 && r != -EPIPE)
		journal(LOG_ERR, "control: %s", err.code ? err.text : strerror(-r));
	return r < 0 && r != -EPIPE ? EXIT_FAILURE : EXIT_SUCCESS;
}
