#include "extract/ocrtable.h"

#include "extract/ocrvalue.h"

#define CELLS_MAX     24
#define ROWS_MAX      200
#define STRANGE_MAX   3  /* lines that are no rows, before the first one and between two */
#define GAP_LINES_MAX 7  /* heights of a line from one row to the next */
#define SURE          50 /* a word in the head that is read worse is a smudge */
#define NO_COLUMN     SIZE_MAX

/* One cell of the head: a column of the type, or one the type does not know, whose words are nobody's. */
struct cell {
	size_t column;
	bool guessed; /* the head's word was not read: taken by its place */
	int x0, x1;
	int right; /* where the column ends */
};

struct table {
	struct layout *l;
	const struct field_spec *f;
	const struct label_hits *scalars;
	const cJSON *carry; /* columns that stay as they were when a row leaves them blank */
	size_t head;        /* row */
	struct cell cells[CELLS_MAX];
	size_t n_cells;
	struct ocr_rows rows;
	int last_y;
	size_t strange;
};

void ocr_rows_free(struct ocr_rows *r)
{
	cJSON_Delete(r->json);
	*r = (struct ocr_rows){};
}

const struct label_hit *ocr_row_label(const struct layout *l, size_t row, const struct label_hits *scalars)
{
	for (size_t i = 0; i < scalars->n; i++)
		if (scalars->hits[i].row == row && scalars->hits[i].first == l->rows[row].first)
			return &scalars->hits[i];
	return NULL;
}

/* ---- the head ----------------------------------------------------------------------------------------- */

static void add_cell(struct table *t, size_t column, size_t first, size_t end)
{
	const struct layout_word *w = t->l->words;

	if (t->n_cells < CELLS_MAX)
		t->cells[t->n_cells++] =
			(struct cell){.column = column, .x0 = w[first].x0, .x1 = w[end - 1].x1};
}

static int by_rank(const void *a, const void *b)
{
	const struct label_hit *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank - y->rank;
	return (x->first > y->first) - (x->first < y->first);
}

/* Keeps one hit a column and one column a hit, the better label first; the rest is dropped. */
static size_t choose_hits(struct label_hits *hits)
{
	size_t kept = 0;

	if (hits->n > 0)
		qsort(hits->hits, hits->n, sizeof(*hits->hits), by_rank);
	for (size_t i = 0; i < hits->n; i++) {
		bool taken = false;

		for (size_t k = 0; k < kept; k++)
			taken |= hits->hits[k].owner == hits->hits[i].owner ||
				 hits->hits[k].first == hits->hits[i].first;
		if (!taken)
			hits->hits[kept++] = hits->hits[i];
	}
	hits->n = kept;
	return kept;
}

static const struct label_hit *hit_at(const struct label_hits *hits, size_t word)
{
	for (size_t i = 0; i < hits->n; i++)
		if (hits->hits[i].first == word)
			return &hits->hits[i];
	return NULL;
}

static void make_cells(struct table *t, const struct label_hits *hits)
{
	const struct layout_row *r = &t->l->rows[t->head];

	t->n_cells = 0;
	for (size_t i = r->first, end; i < r->end; i = end) {
		const struct label_hit *h = hit_at(hits, i);
		size_t segment = layout_segment_end(t->l, i, r->end);

		for (end = h ? h->end : i + 1; !h && end < segment && !hit_at(hits, end); end++)
			;
		if (h || (*t->l->words[i].norm && layout_confidence(t->l, i, end) >= SURE))
			add_cell(t, h ? h->owner : NO_COLUMN, i, end);
	}
}

/* Between the columns before and after it, one cell whose word was not understood: it is the column that is
 * missing. */
static void name_strange_cells(struct table *t)
{
	for (size_t i = 1; i + 1 < t->n_cells; i++) {
		size_t before = t->cells[i - 1].column, after = t->cells[i + 1].column;

		if (t->cells[i].column == NO_COLUMN && before != NO_COLUMN && after != NO_COLUMN &&
			before + 2 == after) {
			t->cells[i].column = before + 1;
			t->cells[i].guessed = true;
		}
	}
}

/* How many columns does the row name? 0 unless it is mostly a head. */
static int read_head(struct table *t, const struct label_set *set, size_t row, size_t *ret_columns)
{
	_cleanup_(label_hits_free) struct label_hits hits = {};
	const struct layout_row *r = &t->l->rows[row];
	size_t words = 0, named = 0;
	bool number = false;

	*ret_columns = 0;
	if (label_find(t->l, set, r->first, r->end, &hits) < 0)
		return -ENOMEM;
	if (choose_hits(&hits) < 2)
		return 0;
	for (size_t i = r->first; i < r->end; i++)
		words += *t->l->words[i].norm != 0;
	for (size_t i = 0; i < hits.n; i++) {
		named += hits.hits[i].end - hits.hits[i].first;
		number |= t->f->columns[hits.hits[i].owner].kind != FIELD_TEXT;
	}
	if (!number || named * 2 < words)
		return 0;
	t->head = row;
	make_cells(t, &hits);
	name_strange_cells(t);
	*ret_columns = hits.n;
	return 0;
}

/* ---- columns ------------------------------------------------------------------------------------------ */

/* Past the last row that may belong to the table: before a wide gap. */
static size_t scope_end(const struct table *t)
{
	const struct layout *l = t->l;
	size_t k = t->head + 1;

	for (; k < l->n_rows && k - t->head <= ROWS_MAX; k++)
		if (l->rows[k].y - l->rows[k - 1].y > GAP_LINES_MAX * l->line_height)
			break;
	return k;
}

/* The x between from and to that the fewest words cross; of several, the middle of the widest gap. */
static int best_cut(const struct table *t, size_t rows_end, int from, int to)
{
	int n = to - from, best = 0, best_length = 0, fewest, length = 0, sum = 0;
	_cleanup_free_ int *crossing = n > 0 ? calloc((size_t)n + 1, sizeof(int)) : NULL;

	if (!crossing)
		return (from + to) / 2;
	for (size_t k = t->head + 1; k < rows_end; k++) {
		if (ocr_row_label(t->l, k, t->scalars))
			continue;
		for (size_t i = t->l->rows[k].first; i < t->l->rows[k].end; i++) {
			int a = CLAMP(t->l->words[i].x0 - from, 0, n),
			    b = CLAMP(t->l->words[i].x1 - from, 0, n);

			crossing[a]++;
			crossing[b]--;
		}
	}
	fewest = crossing[0];
	for (int x = 0; x < n; x++) {
		sum += crossing[x];
		crossing[x] = sum;
		fewest = MIN(fewest, sum);
	}
	for (int x = 0; x < n; x++) {
		length = crossing[x] == fewest ? length + 1 : 0;
		if (length > best_length) {
			best_length = length;
			best = x - length / 2;
		}
	}
	return from + best;
}

/* What one row has between two cells' heads that is a value of the column, apart from its neighbours. l->n:
 * nothing. */
static size_t value_between(
	const struct table *t, size_t row, const struct field_spec *column, int from, int to)
{
	const struct layout *l = t->l;

	for (size_t i = l->rows[row].first, end; i < l->rows[row].end; i = end) {
		struct ocr_value v = {};
		bool fits;

		end = layout_segment_end(l, i, l->rows[row].end);
		if (!l->words[i].segment_start || l->words[i].x0 < from || l->words[end - 1].x1 > to)
			continue;
		fits = ocr_value_read(l, column, NULL, i, end, &v) > 0 && !v.repaired;
		ocr_value_free(&v);
		if (fits)
			return i;
	}
	return l->n;
}

/* Where a head's word may have been lost: between two cells, or outside the first and the last. */
struct gap {
	size_t at; /* the lost cell's place in cells[] */
	size_t column;
	int from, to; /* x */
};

/* Does the gap before cells[at] lack exactly one column of the type? */
static bool lacks_column(const struct table *t, size_t at, struct gap *ret)
{
	const struct cell *left = at > 0 ? &t->cells[at - 1] : NULL;
	const struct cell *right = at < t->n_cells ? &t->cells[at] : NULL;
	size_t column = left ? left->column + 1 : 0;

	if ((left && left->column == NO_COLUMN) || (right && right->column == NO_COLUMN))
		return false;
	if (column + 1 != (right ? right->column : t->f->n_columns))
		return false;
	*ret = (struct gap){at, column, left ? left->x1 : INT32_MIN, right ? right->x0 : INT32_MAX};
	return t->f->columns[column].kind != FIELD_TEXT;
}

/* The column is there if most rows have a value of its kind in the gap. */
static bool find_column(const struct table *t, size_t rows_end, const struct gap *g, struct cell *ret)
{
	struct cell c = {.column = g->column, .guessed = true, .x0 = INT32_MAX};
	size_t rows = 0, with = 0;

	for (size_t k = t->head + 1; k < rows_end && !ocr_row_label(t->l, k, t->scalars); k++) {
		size_t w = value_between(t, k, &t->f->columns[g->column], g->from, g->to);

		rows++;
		if (w == t->l->n)
			continue;
		with++;
		c.x0 = MIN(c.x0, t->l->words[w].x0);
		c.x1 = MAX(c.x1, t->l->words[w].x1);
	}
	*ret = c;
	return with > 0 && with * 2 >= rows;
}

static void add_lost_cells(struct table *t, size_t rows_end)
{
	for (size_t i = 0; i <= t->n_cells && t->n_cells < CELLS_MAX; i++) {
		struct cell lost;
		struct gap g;

		if (!lacks_column(t, i, &g) || !find_column(t, rows_end, &g, &lost))
			continue;
		memmove(&t->cells[i + 1], &t->cells[i], (t->n_cells - i) * sizeof(*t->cells));
		t->cells[i] = lost;
		t->n_cells++;
	}
}

static void cut_columns(struct table *t, size_t rows_end)
{
	for (size_t i = 0; i + 1 < t->n_cells; i++)
		t->cells[i].right = best_cut(t, rows_end, t->cells[i].x1, t->cells[i + 1].x0);
	t->cells[t->n_cells - 1].right = INT32_MAX;
}

/* ---- rows --------------------------------------------------------------------------------------------- */

static size_t cell_of(const struct table *t, const struct layout_word *w)
{
	size_t i = 0;

	while (i + 1 < t->n_cells && (w->x0 + w->x1) / 2 > t->cells[i].right)
		i++;
	return i;
}

struct line {
	cJSON *json;    /* owned: the row's object */
	size_t numbers; /* typed cells */
	size_t texts;
	size_t bad;    /* cells with words that do not fit their kind */
	bool is_label; /* its text is a label of the type ("Opening balance"): no row */
	size_t text_first, text_end;
};

static bool text_is_label(const struct table *t, size_t first, size_t end)
{
	for (size_t i = 0; i < t->scalars->n; i++)
		if (t->scalars->hits[i].first == first && t->scalars->hits[i].end == end)
			return true;
	return false;
}

static int take_cell(const struct table *t, const struct cell *c, size_t first, size_t end, struct line *ret)
{
	const struct field_spec *column;
	_cleanup_(ocr_value_free) struct ocr_value v = {};
	int r;

	if (c->column == NO_COLUMN || first == end)
		return 0;
	column = &t->f->columns[c->column];
	/* A wide word between narrower ones splits its cell's words: the first part has the column. */
	if (json_get(ret->json, column->name)) {
		ret->bad++;
		return 0;
	}
	r = ocr_value_read(t->l, column, NULL, first, end, &v);
	if (r == 0 && !c->guessed)
		ret->bad++;
	if (r <= 0)
		return r;
	if (column->kind == FIELD_TEXT) {
		ret->texts++;
		ret->text_first = first;
		ret->text_end = end;
		ret->is_label |= text_is_label(t, first, end);
	} else {
		ret->numbers++;
	}
	return json_add_take(ret->json, column->name, take_ptr(v.json));
}

static int read_line(const struct table *t, size_t row, struct line *ret)
{
	const struct layout_row *r = &t->l->rows[row];

	*ret = (struct line){.json = cJSON_CreateObject()};
	if (!ret->json)
		return -ENOMEM;
	for (size_t i = r->first, end; i < r->end; i = end) {
		size_t cell = cell_of(t, &t->l->words[i]);

		for (end = i + 1; end < r->end && cell_of(t, &t->l->words[end]) == cell; end++)
			;
		if (take_cell(t, &t->cells[cell], i, end, ret) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void line_free(struct line *l)
{
	cJSON_Delete(l->json);
}

/* Blank under a filled cell means "the same" where the hint says so (a day's later transactions). */
static int carry_over(const struct table *t, cJSON *row)
{
	const cJSON *name, *last = cJSON_GetArrayItem(t->rows.json, cJSON_GetArraySize(t->rows.json) - 1);

	cJSON_ArrayForEach (name, t->carry) {
		const cJSON *v = cJSON_IsString(name) ? json_get(last, name->valuestring) : NULL;
		cJSON *copy;

		if (!v || json_get(row, name->valuestring))
			continue;
		copy = cJSON_Duplicate(v, true);
		if (!copy || json_add_take(row, name->valuestring, copy) < 0)
			return -ENOMEM;
	}
	return 0;
}

static size_t missing(const struct table *t, const cJSON *row)
{
	const cJSON *name, *required = json_get_array(json_get(t->f->schema, "items"), "required");
	size_t n = 0;

	cJSON_ArrayForEach (name, required)
		n += cJSON_IsString(name) && !json_get(row, name->valuestring);
	return n;
}

static int add_row(struct table *t, size_t row, struct line *line)
{
	const struct layout_row *r = &t->l->rows[row];

	if (t->rows.first == t->rows.end)
		t->rows.first = r->first;
	t->rows.end = r->end;
	t->rows.confidence = MIN(t->rows.confidence, layout_confidence(t->l, r->first, r->end));
	layout_claim(t->l, r->first, r->end);
	t->last_y = r->y;
	t->strange = 0;
	return cJSON_AddItemToArray(t->rows.json, take_ptr(line->json)) ? 0 : -ENOMEM;
}

/* A line of text alone right under a row goes on with that row's text. */
static int continue_row(struct table *t, size_t row, const struct line *line)
{
	const struct layout_row *r = &t->l->rows[row];
	cJSON *last = cJSON_GetArrayItem(t->rows.json, cJSON_GetArraySize(t->rows.json) - 1), *more, *joined,
	      *old;
	_cleanup_buf_ struct buf text = {};

	if (!last || line->texts != 1 || line->numbers || line->bad ||
		r->y - t->last_y > 2 * MAX(r->h, t->l->line_height))
		return 0;
	more = line->json->child;
	old = more ? cJSON_GetObjectItemCaseSensitive(last, more->string) : NULL;
	if (!old || buf_addf(&text, "%s %s", old->valuestring, more->valuestring) < 0)
		return 0;
	joined = cJSON_CreateString(buf_str(&text));
	if (!joined || !cJSON_ReplaceItemInObjectCaseSensitive(last, more->string, joined))
		return -ENOMEM;
	layout_claim(t->l, r->first, r->end);
	t->rows.end = r->end;
	t->last_y = r->y;
	return 1;
}

/* 1: went into the table; 0: not a row; -EEXIST: the table is over. */
static int take_row(struct table *t, size_t row)
{
	_cleanup_(line_free) struct line line = {};
	bool begun = cJSON_GetArraySize(t->rows.json) > 0;
	const struct label_hit *label = ocr_row_label(t->l, row, t->scalars);
	size_t lacks;
	int r;

	r = read_line(t, row, &line);
	if (r < 0)
		return r;
	if (begun && line.numbers > 0 && carry_over(t, line.json) < 0)
		return -ENOMEM;
	lacks = missing(t, line.json);
	if (!line.is_label && line.numbers > 0 && line.texts > 0 && lacks + line.bad <= 1 &&
		!(label && lacks + line.bad > 0))
		return add_row(t, row, &line) < 0 ? -ENOMEM : 1;
	if (label && begun)
		return line.is_label ? 0 : -EEXIST;
	r = continue_row(t, row, &line);
	if (r != 0)
		return r;
	return !line.is_label && ++t->strange > STRANGE_MAX ? -EEXIST : 0;
}

static int read_rows(struct table *t)
{
	size_t end = scope_end(t);
	int r = 0;

	add_lost_cells(t, end);
	cut_columns(t, end);
	t->rows = (struct ocr_rows){.json = cJSON_CreateArray(), .confidence = 100};
	t->strange = 0;
	if (!t->rows.json)
		return -ENOMEM;
	for (size_t k = t->head + 1; k < end && r != -EEXIST; k++) {
		r = take_row(t, k);
		if (r == -ENOMEM)
			return r;
	}
	if (cJSON_GetArraySize(t->rows.json) == 0) {
		ocr_rows_free(&t->rows);
		return 0;
	}
	layout_claim(t->l, t->l->rows[t->head].first, t->l->rows[t->head].end);
	return 1;
}

/* ---- which head --------------------------------------------------------------------------------------- */

/* Heads with the most columns first; one under which there are rows is the table's. */
static int try_heads(struct table *t, const struct label_set *set)
{
	size_t columns;
	int r = 0;

	for (size_t want = t->f->n_columns; want >= 2; want--)
		for (size_t row = 0; row < t->l->n_rows; row++) {
			if (read_head(t, set, row, &columns) < 0)
				return -ENOMEM;
			if (columns == want && (r = read_rows(t)) != 0)
				return r;
		}
	return 0;
}

int ocr_table_read(struct layout *l, const struct doctype *type, const struct field_spec *f,
	const struct label_hits *scalars, struct ocr_rows *ret)
{
	_cleanup_(label_set_free) struct label_set set = {};
	const cJSON *hint = json_get_object(type->ocr, f->name);
	const char *rule = json_get_string(hint, "rule");
	struct table t = {.l = l, .f = f, .scalars = scalars, .carry = json_get_array(hint, "carry")};
	int r;

	for (size_t i = 0; i < f->n_columns; i++)
		if (label_set_add(&set, f->columns[i].labels, i) < 0)
			return -ENOMEM;
	r = try_heads(&t, &set);
	if (r == 0 && rule && streq(rule, "items"))
		return ocr_items_read(l, type, f, scalars, ret);
	if (r > 0)
		*ret = t.rows;
	else
		ocr_rows_free(&t.rows);
	return r;
}
