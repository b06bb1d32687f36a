/* The answers of a document's pages, read one by one, as one answer. */
#include "extract/answer_internal.h"

static void told_of(struct answer *a, uint32_t page)
{
	for (size_t i = 0; i < a->n_fields; i++)
		if (a->fields[i].value)
			a->fields[i].page = page;
}

/* Rows of a further page follow those before, as many as the schema allows. */
static int join_rows(struct field_value *f, struct field_value *part)
{
	int64_t max = INT64_MAX;
	int left_out = 0;
	cJSON *row;

	(void)json_get_i64(f->spec->schema, "maxItems", &max);
	while ((row = cJSON_DetachItemFromArray(part->value, 0))) {
		if (cJSON_GetArraySize(f->value) >= max || !cJSON_AddItemToArray(f->value, row)) {
			cJSON_Delete(row);
			left_out++;
		}
	}
	/* Of several pages: no place on one of them. */
	f->page = 0;
	memset(f->box, 0, sizeof(f->box));
	f->proof = MIN(f->proof, part->proof);
	f->proven_columns &= part->proven_columns;
	f->confidence = MIN(f->confidence, part->confidence);
	return left_out ? field_problem(f, "%d more rows were left out", left_out) : 0;
}

static int join_field(struct answer *sum, struct field_value *f, struct field_value *part, uint32_t page)
{
	if (!part->value) {
		if (!f->value && !f->problem)
			f->problem = take_ptr(part->problem);
		return 0;
	}
	if (!f->value) {
		free(f->problem);
		*f = *part;
		f->page = page;
		part->value = NULL;
		part->problem = NULL;
		return 0;
	}
	if (f->spec->kind == FIELD_ROWS)
		return join_rows(f, part);
	return cJSON_Compare(f->value, part->value, true) ? 0 : answer_problem(sum, "%s: page %u says otherwise", f->spec->name, page);
}

static int join_problems(struct answer *sum, const struct answer *part, uint32_t page)
{
	return part->problems ? answer_problem(sum, "page %u: %s", page, part->problems) : 0;
}

int answer_join(struct answer **sum, struct answer *part, uint32_t page)
{
	int r = 0;

	told_of(part, page);
	if (!*sum) {
		*sum = part;
		return 0;
	}
	if ((*sum)->type == part->type)
		for (size_t i = 0; i < part->n_fields && r >= 0; i++)
			r = join_field(*sum, &(*sum)->fields[i], &part->fields[i], page);
	else
		r = -EINVAL;
	if (r >= 0)
		r = join_problems(*sum, part, page);
	answer_free(part);
	return r;
}
