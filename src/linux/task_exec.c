/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/task_exec.h"

#include <string.h>

#include "linux/path.h"

#define USER_END   (1ull << 56)		/* first address beyond user space, 5 levels */
#define ARGS_MAX   (1ull << 31)		/* MAX_ARG_STRINGS: arguments are shorter than this */

struct exec_fields {
	struct field exe, arg_start, arg_end, env_start, env_end;
};

static const struct member exec_members[] = {
	MEMBER(struct exec_fields, exe, "mm_struct.exe_file"),
	MEMBER(struct exec_fields, arg_start, "mm_struct.arg_start"),
	MEMBER(struct exec_fields, arg_end, "mm_struct.arg_end"),
	MEMBER(struct exec_fields, env_start, "mm_struct.env_start"),
	MEMBER(struct exec_fields, env_end, "mm_struct.env_end"),
};
LAYOUT(exec_layout, struct exec_fields, exec_members);

static int no_memory(const struct task *task, struct err *err)
{
	return err_set(err, -ENOENT, "PID %d has no user memory", task->pid);
}

int task_exe(const struct kernel *kernel, struct view *view, const struct task *task, char *buf,
	     size_t size, struct err *err)
{
	const struct exec_fields *f;
	gva file;
	int r;

	if (!task->mm.v)
		return no_memory(task, err);
	r = types_layout(kernel->types, &exec_layout, (const void **)&f, err);
	if (r >= 0)
		r = field_ptr(view, task->mm, &f->exe, &file, err);
	if (r < 0)
		return wrap(err, r, "program of PID %d", task->pid);
	if (!file.v)
		return err_set(err, -ENOENT, "PID %d has no program", task->pid);
	return path_print_file(kernel, view, file, gva_of(0), buf, size, err);
}

/* Where the arguments lie: up to @end, or where the process gave itself a title, @title_end. */
struct bounds {
	uint64_t start;
	uint64_t end;
	uint64_t title_end;
};

static int read_bounds(const struct kernel *kernel, struct view *view, const struct task *task,
		       struct bounds *ret, struct err *err)
{
	uint64_t start, end, env_start, env_end;
	const struct exec_fields *f;
	int r;

	r = types_layout(kernel->types, &exec_layout, (const void **)&f, err);
	if (r >= 0)
		r = field_read(view, task->mm, &f->arg_start, &start, err);
	if (r >= 0)
		r = field_read(view, task->mm, &f->arg_end, &end, err);
	if (r >= 0)
		r = field_read(view, task->mm, &f->env_start, &env_start, err);
	if (r >= 0)
		r = field_read(view, task->mm, &f->env_end, &env_end, err);
	if (r < 0)
		return r;
	if (start > end || end >= USER_END || end - start > ARGS_MAX)
		return err_set(err, -EBADMSG, "arguments from %#llx to %#llx",
			       (unsigned long long)start, (unsigned long long)end);
	*ret = (struct bounds){ start, end, end };
	if (env_start == end && env_end > env_start && env_end < USER_END)
		ret->title_end = env_end;
	return 0;
}

/*
 * Copy what is resident of [@from, @to), page by page. Where a page was left out a zero keeps
 * what lies on both sides of it apart.
 */
static int copy_resident(struct view *view, struct space space, uint64_t from, uint64_t to,
			 struct task_args *args, struct err *err)
{
	int r;

	while (from < to) {
		size_t n = GUEST_PAGE_SIZE - (from & GUEST_PAGE_MASK);

		if (n > to - from)
			n = to - from;
		r = view_read_space(view, space, gva_of(from), args->text + args->bytes, n, err);
		if (r == -ELOOP || r == -ESRCH)
			return r;
		if (r >= 0) {
			args->bytes += n;
		} else {
			args->absent_bytes += n;
			if (args->bytes && args->text[args->bytes - 1])
				args->text[args->bytes++] = '\0';
		}
		from += n;
	}
	return 0;
}

/*
 * A process that wrote over the terminator of its last argument has given itself a title: one
 * string from the start of the arguments, which may run on into the environment behind them
 * (fs/proc/base.c: get_mm_cmdline(), get_mm_proctitle()).
 */
static int has_title(struct view *view, const struct task *task, const struct bounds *bounds,
		     struct err *err)
{
	char last = '\0';
	int r;

	r = view_read_space(view, task->space, gva_of(bounds->end - 1), &last, 1, err);
	if (r == -ELOOP || r == -ESRCH)
		return r;
	return last != '\0';
}

int task_args(const struct kernel *kernel, struct view *view, const struct task *task,
	      struct task_args *ret, struct err *err)
{
	struct task_args args = {0};
	struct bounds bounds = {0};
	int r, title;

	if (!task->mm.v || !task->space.root.v)
		return no_memory(task, err);
	r = read_bounds(kernel, view, task, &bounds, err);
	if (r < 0)
		return wrap(err, r, "arguments of PID %d", task->pid);
	if (bounds.start == bounds.end) {
		*ret = args;
		return 0;
	}
	title = has_title(view, task, &bounds, err);
	if (title < 0)
		return title;
	if (title > 0)
		bounds.end = bounds.title_end;
	if (bounds.end - bounds.start > sizeof(args.text)) {
		bounds.end = bounds.start + sizeof(args.text);
		args.cut = true;
	}
	r = copy_resident(view, task->space, bounds.start, bounds.end, &args, err);
	if (r < 0)
		return wrap(err, r, "arguments of PID %d", task->pid);
	if (title > 0) {
		size_t len = strnlen(args.text, args.bytes);

		args.cut = args.cut && len == args.bytes;
		args.bytes = len < args.bytes ? len + 1 : len;
	}
	*ret = args;
	return 0;
}
