#include "extract/checks.h"

#include <stdarg.h>
#include <stdio.h>

#include "extract/answer_internal.h"
#include "extract/checks_internal.h"

#define CHECKS_MAX 32

enum param_kind {
	PARAM_END,
	PARAM_FIELD,
	PARAM_COLUMN, /* of the rows field that is the check's first parameter */
	PARAM_BOOL,
};

struct param {
	const char *name;
	enum param_kind kind;
	enum field_kind field; /* PARAM_FIELD, PARAM_COLUMN */
	bool required;
};

static const struct check {
	const char *name;
	check_rule rule;
	struct param params[CHECK_ARGS_MAX + 1];
} checks[] = {
	{"abn", rule_abn, {{"field", PARAM_FIELD, FIELD_ABN, true}}},
	{"gst", rule_gst,
		{{"gst", PARAM_FIELD, FIELD_MONEY, true}, {"total", PARAM_FIELD, FIELD_MONEY, true},
			{"net", PARAM_FIELD, FIELD_MONEY, false}, {"mixed", PARAM_BOOL, 0, false}}},
	{"sum", rule_sum,
		{{"rows", PARAM_FIELD, FIELD_ROWS, true}, {"column", PARAM_COLUMN, FIELD_MONEY, true},
			{"total", PARAM_FIELD, FIELD_MONEY, true}, {"plus", PARAM_FIELD, FIELD_MONEY, false},
			{"minus", PARAM_FIELD, FIELD_MONEY, false}}},
	{"lines", rule_lines,
		{{"rows", PARAM_FIELD, FIELD_ROWS, true}, {"quantity", PARAM_COLUMN, FIELD_DECIMAL, true},
			{"price", PARAM_COLUMN, FIELD_MONEY, true},
			{"amount", PARAM_COLUMN, FIELD_MONEY, true}}},
	{"balance", rule_balance,
		{{"rows", PARAM_FIELD, FIELD_ROWS, true}, {"balance", PARAM_COLUMN, FIELD_MONEY, true},
			{"opening", PARAM_FIELD, FIELD_MONEY, true},
			{"closing", PARAM_FIELD, FIELD_MONEY, true},
			{"debit", PARAM_COLUMN, FIELD_MONEY, false},
			{"credit", PARAM_COLUMN, FIELD_MONEY, false},
			{"amount", PARAM_COLUMN, FIELD_MONEY, false}}},
};

static const struct check *check_find(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(checks); i++)
		if (streq(checks[i].name, name))
			return &checks[i];
	return NULL;
}

/* ---- lint ---------------------------------------------------------------------------------------------- */

struct lint {
	const struct doctype *type;
	size_t index;
	char *why;
	size_t why_size;
};

static int fail(const struct lint *l, const char *fmt, ...) _printf_(2, 3);
static int fail(const struct lint *l, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = 0;
	va_end(ap);
	if (l->why_size > 0 && snprintf(l->why, l->why_size, "checks[%zu]: %s", l->index, what) < 0)
		l->why[0] = 0;
	return -EINVAL;
}

static int column_index(const struct field_spec *rows, const char *name)
{
	for (size_t i = 0; rows && name && i < rows->n_columns; i++)
		if (streq(rows->columns[i].name, name))
			return (int)i;
	return -1;
}

static int lint_param(const struct lint *l, const cJSON *j, const struct param *p)
{
	const char *name = json_get_string(j, p->name), *rows = json_get_string(j, "rows");
	const struct field_spec *f = NULL;
	int column;
	bool b;

	if (!json_get(j, p->name))
		return p->required ? fail(l, "%s is missing", p->name) : 0;
	if (p->kind == PARAM_BOOL)
		return json_get_bool(j, p->name, &b) < 0 ? fail(l, "%s must be true or false", p->name) : 0;
	if (name && p->kind == PARAM_FIELD)
		f = doctype_field(l->type, name);
	if (name && p->kind == PARAM_COLUMN && rows) {
		const struct field_spec *r = doctype_field(l->type, rows);

		column = column_index(r, name);
		f = column < 0 ? NULL : &r->columns[column];
	}
	if (!f || f->kind != p->field)
		return fail(l, "%s must name a %s of kind %s", p->name,
			p->kind == PARAM_FIELD ? "field" : "column", field_kind_name(p->field));
	return 0;
}

static bool member_known(const struct check *c, const char *name)
{
	for (const struct param *p = c->params; p->kind != PARAM_END; p++)
		if (streq(p->name, name))
			return true;
	return streq(name, "check");
}

static int lint_check(const struct lint *l, const cJSON *j)
{
	const struct check *c = check_find(json_get_string(j, "check"));
	const cJSON *m;

	if (!c)
		return fail(l, "check must be abn, gst, sum, lines or balance");
	cJSON_ArrayForEach (m, j)
		if (!member_known(c, m->string))
			return fail(l, "unknown member \"%.64s\"", m->string);
	for (const struct param *p = c->params; p->kind != PARAM_END; p++) {
		int e = lint_param(l, j, p);

		if (e < 0)
			return e;
	}
	if (c->rule == rule_balance) {
		bool d = json_get(j, "debit"), r = json_get(j, "credit"), a = json_get(j, "amount");

		if (d != r || d == a)
			return fail(l, "needs either amount, or debit and credit");
	}
	return 0;
}

int checks_lint(const struct doctype *t, char *why, size_t why_size)
{
	struct lint l = {.type = t, .why = why, .why_size = why_size};
	const cJSON *j;

	if (!t->checks)
		return 0;
	if (!cJSON_IsArray(t->checks))
		return fail(&l, "must be an array");
	cJSON_ArrayForEach (j, t->checks) {
		int e = l.index == CHECKS_MAX ? fail(&l, "more than %d", CHECKS_MAX) : lint_check(&l, j);

		if (e < 0)
			return e;
		l.index++;
	}
	return 0;
}

/* ---- run ----------------------------------------------------------------------------------------------- */

static void resolve(
	struct answer *a, const cJSON *j, const struct check *c, struct check_arg args[CHECK_ARGS_MAX])
{
	for (size_t i = 0; i < CHECK_ARGS_MAX; i++)
		args[i] = (struct check_arg){.column = -1};
	for (size_t i = 0; c->params[i].kind != PARAM_END; i++) {
		const struct param *p = &c->params[i];
		const char *name = json_get_string(j, p->name);

		if (p->kind == PARAM_FIELD && name)
			args[i].field = answer_field(a, name);
		else if (p->kind == PARAM_COLUMN && name && args[0].field)
			args[i].column = column_index(args[0].field->spec, name);
		else if (p->kind == PARAM_BOOL && json_get_bool(j, p->name, &args[i].flag) < 0)
			args[i].flag = false;
	}
}

static void prove(const struct check *c, const struct check_outcome *o)
{
	for (size_t i = 0; i < o->n_ties; i++) {
		struct field_value *f = o->ties[i].field;

		if (f->proof != PROOF_VERIFIED)
			f->check = c->name;
		f->proof = PROOF_VERIFIED;
		f->proven_columns |= o->ties[i].columns;
	}
}

/* Which of the compared figures does some check prove? Asked of all failed checks before any blame changes
 * the answer. */
static void note_proven(struct check_outcome *o)
{
	for (size_t i = 0; i < o->n_ties; i++) {
		const struct field_value *f = o->ties[i].field;

		o->ties[i].proven = f->proof == PROOF_VERIFIED &&
				    (f->proven_columns & o->ties[i].columns) == o->ties[i].columns;
	}
}

static void unprove(struct field_value *f, uint32_t columns)
{
	f->proven_columns &= ~columns;
	if (f->proven_columns == 0) {
		f->proof = PROOF_UNPROVEN;
		f->check = "";
	}
}

/*
 * One of the figures a failed check compared is wrong. What another check proves is not it, so the others are
 * blamed; if the checks contradict each other, all are, and nothing of it stays proven.
 */
static int blame(const struct check *c, const struct check_outcome *o)
{
	bool all = true;

	for (size_t i = 0; i < o->n_ties; i++)
		all &= o->ties[i].proven;
	for (size_t i = 0; i < o->n_ties; i++) {
		const struct check_tie *t = &o->ties[i];
		int e;

		if (t->proven && !all)
			continue;
		e = field_problem(t->field, "%s: %s", c->name, o->what);
		if (e < 0)
			return e;
		/* of a rows field that another check proves in part, that part stays */
		unprove(t->field, all ? t->columns : 0);
	}
	return 0;
}

int checks_run(struct answer *a)
{
	_cleanup_free_ struct check_outcome *outcomes = calloc(CHECKS_MAX, sizeof(*outcomes));
	const struct check *ran[CHECKS_MAX];
	const cJSON *j;
	size_t n = 0;
	int e = 0;

	if (!outcomes)
		return -ENOMEM;
	cJSON_ArrayForEach (j, a->type->checks) {
		struct check_arg args[CHECK_ARGS_MAX];

		ran[n] = check_find(json_get_string(j, "check"));
		resolve(a, j, ran[n], args);
		ran[n]->rule(a, args, &outcomes[n]);
		if (outcomes[n].result == CHECK_PROVES)
			prove(ran[n], &outcomes[n]);
		n++;
	}
	for (size_t i = 0; i < n; i++)
		note_proven(&outcomes[i]);
	for (size_t i = 0; i < n && e == 0; i++)
		if (outcomes[i].result == CHECK_FAILS)
			e = blame(ran[i], &outcomes[i]);
	return e;
}
