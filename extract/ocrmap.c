#include "extract/ocrmap.h"

#include "extract/ocrfield.h"
#include "extract/ocrtable.h"

struct map {
	const struct doctype *t;
	struct layout *l; /* owned */
	struct label_set labels;
	struct label_hits hits;
	struct ocr_found *found; /* owned, t->n_fields */
	struct ocr_rows *rows;   /* owned, t->n_fields */
};

static void map_free(struct map *m)
{
	for (size_t i = 0; m->found && i < m->t->n_fields; i++)
		ocr_value_free(&m->found[i].value);
	for (size_t i = 0; m->rows && i < m->t->n_fields; i++)
		ocr_rows_free(&m->rows[i]);
	free(m->found);
	free(m->rows);
	label_set_free(&m->labels);
	label_hits_free(&m->hits);
	layout_free(m->l);
}

static int map_start(struct map *m, const struct doctype *t, const struct ocr_words *w)
{
	m->t = t;
	m->found = calloc(t->n_fields + 1, sizeof(*m->found));
	m->rows = calloc(t->n_fields + 1, sizeof(*m->rows));
	return m->found && m->rows ? layout_new(w, &m->l) : -ENOMEM;
}

/* ---- what was found, as JSON -------------------------------------------------------------------------- */

/* The box around words[first..end) as they lie on the page. */
static cJSON *box_of(const struct layout *l, size_t first, size_t end)
{
	int v[4] = {};

	for (size_t i = first; i < end; i++) {
		const struct ocr_word *w = l->words[i].source;
		int x1 = MAX(v[0] + v[2], w->x + w->w), y1 = MAX(v[1] + v[3], w->y + w->h);

		v[0] = i == first ? w->x : MIN(v[0], w->x);
		v[1] = i == first ? w->y : MIN(v[1], w->y);
		v[2] = (i == first ? w->x + w->w : x1) - v[0];
		v[3] = (i == first ? w->y + w->h : y1) - v[1];
	}
	return cJSON_CreateIntArray(v, 4);
}

/* `text` NULL: the words' place says nothing about their meaning. */
static int add_evidence(const struct map *m, cJSON *evidence, const char *name, const char *text,
	size_t first, size_t end, int confidence)
{
	cJSON *o = cJSON_CreateObject();
	int r = json_add_take(evidence, name, o);

	if (r >= 0 && text)
		r = json_add_string(o, "text", text);
	if (r >= 0)
		r = json_add_take(o, "box", box_of(m->l, first, end));
	if (r >= 0)
		r = json_add_take(o, "confidence", cJSON_CreateNumber(confidence / 100.0));
	return r;
}

static int add_field(const struct map *m, size_t i, cJSON *answer, cJSON *evidence)
{
	const char *name = m->t->fields[i].name;
	struct ocr_value *v = &m->found[i].value;
	struct ocr_rows *rows = &m->rows[i];
	int r;

	if (rows->json) {
		r = add_evidence(m, evidence, name, NULL, rows->first, rows->end, rows->confidence);
		return r < 0 ? r : json_add_take(answer, name, take_ptr(rows->json));
	}
	if (!v->json)
		return 0;
	r = v->first == v->end ? 0
			       : add_evidence(m, evidence, name, m->found[i].by_label ? v->text : NULL,
					 v->first, v->end, layout_confidence(m->l, v->first, v->end));
	return r < 0 ? r : json_add_take(answer, name, take_ptr(v->json));
}

/* ---- mapping ------------------------------------------------------------------------------------------ */

static int find_labels(struct map *m)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < m->t->n_fields; i++)
		if (m->t->fields[i].kind != FIELD_ROWS)
			r = label_set_add(&m->labels, m->t->fields[i].labels, i);
	return r < 0 ? r : label_find(m->l, &m->labels, 0, m->l->n, &m->hits);
}

/* Tables first: what is in them is no label and no value for the rest. */
static int find_all(struct map *m)
{
	int r = find_labels(m);

	for (size_t i = 0; r >= 0 && i < m->t->n_fields; i++)
		if (m->t->fields[i].kind == FIELD_ROWS)
			r = ocr_table_read(m->l, m->t, &m->t->fields[i], &m->hits, &m->rows[i]);
	if (r >= 0)
		r = ocr_fields_by_label(m->l, m->t, &m->hits, m->found);
	return r < 0 ? r : ocr_fields_by_hint(m->l, m->t, &m->hits, m->found);
}

int ocr_map(const struct doctype *t, const struct ocr_words *w, cJSON **ret_answer, cJSON **ret_evidence)
{
	_cleanup_(map_free) struct map m = {};
	_cleanup_json_ cJSON *answer = cJSON_CreateObject();
	_cleanup_json_ cJSON *evidence = cJSON_CreateObject();
	int r;

	if (!answer || !evidence)
		return -ENOMEM;
	r = map_start(&m, t, w);
	if (r >= 0)
		r = find_all(&m);
	for (size_t i = 0; r >= 0 && i < t->n_fields; i++)
		r = add_field(&m, i, answer, evidence);
	if (r < 0)
		return r;
	*ret_answer = take_ptr(answer);
	*ret_evidence = take_ptr(evidence);
	return 0;
}
