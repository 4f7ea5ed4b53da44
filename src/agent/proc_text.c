/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/proc_text.h"

#include <string.h>
#include <sys/socket.h>

/* A cursor over the words of a line. */
struct words {
	const char *at;
	size_t left;
};

/* The next word; its length, 0 at the end. */
static size_t next_word(struct words *words, const char **word)
{
	size_t n = 0;

	while (words->left && *words->at == ' ') {
		words->at++;
		words->left--;
	}
	*word = words->at;
	while (n < words->left && words->at[n] != ' ')
		n++;
	words->at += n;
	words->left -= n;
	return n;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* All of @text is one number up to @max. */
static bool number_of(const char *text, size_t len, unsigned base, uint64_t max, uint64_t *number)
{
	uint64_t sum = 0;

	if (!len)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned)digit_of(text[i]);

		if (digit >= base || __builtin_mul_overflow(sum, base, &sum) ||
		    __builtin_add_overflow(sum, digit, &sum) || sum > max)
			return false;
	}
	*number = sum;
	return true;
}

uint32_t proc_pid(const char *name)
{
	uint64_t pid;

	if (*name == '0' || !number_of(name, strlen(name), 10, INT32_MAX, &pid))
		return 0;
	return (uint32_t)pid;
}

int proc_module(const char *line, size_t len, const char **name, size_t *name_bytes,
		uint64_t *size_bytes)
{
	struct words words = { line, len };
	const char *first, *second;
	size_t first_bytes = next_word(&words, &first), second_bytes = next_word(&words, &second);
	uint64_t size;

	if (!first_bytes || !number_of(second, second_bytes, 10, UINT64_MAX, &size))
		return -EBADMSG;
	*name = first;
	*name_bytes = first_bytes;
	*size_bytes = size;
	return 0;
}

/* "0100007F:1F90": words of the address as the machine has them, then the port. */
static bool endpoint_of(const char *text, size_t len, size_t address_bytes, uint8_t *address,
			uint16_t *port)
{
	uint64_t number;

	if (len != 2 * address_bytes + 5 || text[2 * address_bytes] != ':' ||
	    !number_of(text + 2 * address_bytes + 1, 4, 16, UINT16_MAX, &number))
		return false;
	*port = (uint16_t)number;
	for (size_t i = 0; i < address_bytes; i += 4) {
		uint32_t word;

		if (!number_of(text + 2 * i, 8, 16, UINT32_MAX, &number))
			return false;
		word = (uint32_t)number;
		memcpy(address + i, &word, sizeof(word));
	}
	return true;
}

/* sl local remote st tx:rx tr:when retrnsmt uid timeout inode … */
int proc_socket(const char *line, size_t len, uint16_t family, struct agent_socket *ret,
		uint64_t *inode)
{
	size_t address_bytes = family == AF_INET ? 4 : 16;
	struct agent_socket socket = {0};
	struct words words = { line, len };
	const char *word[10];
	size_t bytes[10];
	uint64_t state, uid, number;

	for (int i = 0; i < 10; i++)
		bytes[i] = next_word(&words, &word[i]);
	if (!endpoint_of(word[1], bytes[1], address_bytes, socket.local, &socket.local_port) ||
	    !endpoint_of(word[2], bytes[2], address_bytes, socket.remote, &socket.remote_port) ||
	    !number_of(word[3], bytes[3], 16, UINT32_MAX, &state) ||
	    !number_of(word[7], bytes[7], 10, UINT32_MAX, &uid) ||
	    !number_of(word[9], bytes[9], 10, UINT64_MAX, &number))
		return -EBADMSG;
	socket.state = (uint32_t)state;
	socket.uid = (uint32_t)uid;
	*ret = socket;
	*inode = number;
	return 0;
}

/* --- mountinfo: id parent major:minor root point options … --- */

enum { ID, PARENT, DEVICE, ROOT, POINT, REST };

static void next_line(struct proc_mounts *mounts)
{
	mounts->field = ID;
	mounts->number = mounts->digits = 0;
	mounts->escape = 0;
	mounts->mount.point_bytes = 0;
}

void proc_mounts_begin(struct proc_mounts *mounts, proc_mount_fn *fn, void *ctx)
{
	mounts->fn = fn;
	mounts->ctx = ctx;
	mounts->damaged = false;
	next_line(mounts);
}

static void add_byte(struct proc_mount *mount, unsigned char byte)
{
	if (mount->point_bytes < sizeof(mount->point))
		mount->point[mount->point_bytes++] = (char)byte;
}

/* The kernel writes blanks, newlines and backslashes as \ooo (mangle_path()). */
static void point_byte(struct proc_mounts *mounts, char c)
{
	if (mounts->escape) {
		if (c < '0' || c > '7')
			mounts->damaged = true;
		mounts->byte = (unsigned char)(mounts->byte << 3 | (c & 7));
		if (--mounts->escape == 0)
			add_byte(&mounts->mount, mounts->byte);
	} else if (c == '\\') {
		mounts->escape = 3;
		mounts->byte = 0;
	} else {
		add_byte(&mounts->mount, (unsigned char)c);
	}
}

/* A number's field ended: @number is it. */
static void end_field(struct proc_mounts *mounts)
{
	if (mounts->field <= DEVICE && !mounts->digits)
		mounts->damaged = true;
	if (mounts->field == ID)
		mounts->mount.id = mounts->number;
	else if (mounts->field == DEVICE)
		mounts->mount.device = mounts->major << 20 | (mounts->number & 0xfffff);
	if (mounts->escape)
		mounts->damaged = true;
	mounts->escape = 0;
	mounts->number = mounts->digits = 0;
	if (mounts->field < REST)
		mounts->field++;
}

static void number_byte(struct proc_mounts *mounts, char c)
{
	if (c == ':' && mounts->field == DEVICE) {
		mounts->major = mounts->number;
		mounts->number = mounts->digits = 0;
	} else if (c >= '0' && c <= '9' && mounts->digits < 10) {
		mounts->number = mounts->number * 10 + (uint64_t)(c - '0');
		mounts->digits++;
	} else {
		mounts->damaged = true;
	}
}

void proc_mounts_feed(struct proc_mounts *mounts, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '\n') {
			if (mounts->field > POINT)
				mounts->fn(&mounts->mount, mounts->ctx);
			else
				mounts->damaged = true;
			next_line(mounts);
		} else if (c == ' ') {
			end_field(mounts);
		} else if (mounts->field <= DEVICE) {
			number_byte(mounts, c);
		} else if (mounts->field == POINT) {
			point_byte(mounts, c);
		}
	}
}

void proc_mounts_end(struct proc_mounts *mounts)
{
	if (mounts->field != ID || mounts->digits)
		mounts->damaged = true;
}

size_t proc_value(const char *text, size_t len, const char *name, char *value, size_t room)
{
	size_t name_bytes = strlen(name);

	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		if (line > name_bytes && text[name_bytes] == '=' &&
		    memcmp(text, name, name_bytes) == 0) {
			size_t n = line - name_bytes - 1;

			n = n < room ? n : room;
			memcpy(value, text + name_bytes + 1, n);
			return n;
		}
		text += end ? line + 1 : line;
		len -= end ? line + 1 : line;
	}
	return 0;
}
