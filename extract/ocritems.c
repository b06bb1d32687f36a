/* A receipt's items: lines of a text and an amount, without column labels, above the first total. */
#include "extract/ocrtable.h"

#include <ctype.h>

#include "extract/ocrvalue.h"

struct items {
	struct layout *l;
	const struct field_spec *text, *amount; /* columns */
	struct ocr_rows rows;
	size_t above; /* a row of text alone right above, or SIZE_MAX */
};

static const struct field_spec *column_of(const struct field_spec *f, enum field_kind kind, bool last)
{
	const struct field_spec *found = NULL;

	for (size_t i = 0; i < f->n_columns; i++)
		if (f->columns[i].kind == kind && (!found || last))
			found = &f->columns[i];
	return found;
}

static bool has_letters(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += isalpha((unsigned char)*s) || (unsigned char)*s >= 0x80;
	return n >= 2;
}

/* "2 @ 4.50   9.00" under "FLAT WHITE": the line above is the item. */
static int item_text(const struct items *t, size_t first, size_t end, struct ocr_value *ret)
{
	const struct layout_row *above;
	int r = ocr_value_read(t->l, t->text, NULL, first, end, ret);

	if (r < 0 || (r > 0 && has_letters(ret->text)))
		return r;
	ocr_value_free(ret);
	if (t->above == SIZE_MAX)
		return 0;
	above = &t->l->rows[t->above];
	return ocr_value_read(t->l, t->text, NULL, above->first, above->end, ret);
}

static int add_item(
	struct items *t, const struct layout_row *r, struct ocr_value *text, struct ocr_value *amount)
{
	cJSON *o = cJSON_CreateObject();

	if (!o || !cJSON_AddItemToArray(t->rows.json, o)) {
		cJSON_Delete(o);
		return -ENOMEM;
	}
	if (json_add_take(o, t->text->name, take_ptr(text->json)) < 0 ||
		json_add_take(o, t->amount->name, take_ptr(amount->json)) < 0)
		return -ENOMEM;
	if (t->rows.first == t->rows.end)
		t->rows.first = MIN(text->first, r->first);
	t->rows.end = r->end;
	t->rows.confidence = MIN(t->rows.confidence, layout_confidence(t->l, r->first, r->end));
	layout_claim(t->l, text->first, text->end);
	layout_claim(t->l, r->first, r->end);
	return 0;
}

/* The amount is the line's end: its last segment, or as many of its last words as it takes. */
static int find_amount(const struct items *t, const struct layout_row *r, struct ocr_value *ret)
{
	for (size_t i = r->end - MIN((size_t)3, r->end - r->first - 1); i < r->end; i++) {
		int e = ocr_value_read(t->l, t->amount, NULL, i, r->end, ret);

		if (e != 0)
			return e;
	}
	return 0;
}

static int take_row(struct items *t, size_t row)
{
	_cleanup_(ocr_value_free) struct ocr_value text = {};
	_cleanup_(ocr_value_free) struct ocr_value amount = {};
	const struct layout_row *r = &t->l->rows[row];
	int e;

	if (r->end - r->first < 2 || (e = find_amount(t, r, &amount)) == 0) {
		t->above = row;
		return 0;
	}
	if (e < 0)
		return e;
	e = item_text(t, r->first, amount.first, &text);
	t->above = SIZE_MAX;
	return e <= 0 ? e : add_item(t, r, &text, &amount);
}

/* The first row that begins with a hit, of a money field where `type` is given; from there on there are
 * totals. */
static size_t first_row(const struct layout *l, const struct label_hits *hits, const struct doctype *type)
{
	for (size_t i = 0; i < hits->n; i++) {
		const struct label_hit *h = &hits->hits[i];

		if ((!type || type->fields[h->owner].kind == FIELD_MONEY) &&
			h->first == l->rows[h->row].first)
			return h->row;
	}
	return l->n_rows;
}

/* What ends the items: a total, or by the hint "until" what has no field ("Subtotal"). */
static int totals_row(const struct layout *l, const struct doctype *type, const struct field_spec *f,
	const struct label_hits *scalars, size_t *ret)
{
	_cleanup_(label_set_free) struct label_set set = {};
	_cleanup_(label_hits_free) struct label_hits hits = {};

	if (label_set_add(&set, json_get_array(json_get_object(type->ocr, f->name), "until"), 0) < 0 ||
		label_find(l, &set, 0, l->n, &hits) < 0)
		return -ENOMEM;
	*ret = MIN(first_row(l, scalars, type), first_row(l, &hits, NULL));
	return 0;
}

int ocr_items_read(struct layout *l, const struct doctype *type, const struct field_spec *f,
	const struct label_hits *scalars, struct ocr_rows *ret)
{
	struct items t = {.l = l,
		.text = column_of(f, FIELD_TEXT, false),
		.amount = column_of(f, FIELD_MONEY, true),
		.above = SIZE_MAX};
	size_t end = 0;
	int r = 0;

	if (!t.text || !t.amount)
		return 0;
	r = totals_row(l, type, f, scalars, &end);
	if (r < 0)
		return r;
	t.rows = (struct ocr_rows){.json = cJSON_CreateArray(), .confidence = 100};
	if (!t.rows.json)
		return -ENOMEM;
	for (size_t k = 0; r >= 0 && k < end; k++)
		if (ocr_row_label(l, k, scalars))
			t.above = SIZE_MAX;
		else
			r = take_row(&t, k);
	if (r < 0 || cJSON_GetArraySize(t.rows.json) == 0) {
		ocr_rows_free(&t.rows);
		return MIN(r, 0);
	}
	*ret = t.rows;
	return 1;
}
