/* A document type, or an array of them, of any bytes: read or refused with a word; what is
 * selected of it reads again. */
#include "extract/doctype.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_type(const char *text, size_t len)
{
	char why[200] = "";
	struct doctype *t;
	int e = doctype_parse(text, len, &t, why, sizeof(why));

	if (e == 0)
		doctype_free(t);
	else if (e == -EBADMSG && !why[0])
		abort();
}

static void as_set(const char *text, size_t len)
{
	_cleanup_buf_ struct buf out = {};
	struct typeset *s, *again;
	char why[200];

	if (typeset_parse(text, len, &s, why, sizeof(why)) < 0)
		return;
	if (typeset_select(s, s->types[0]->name, &out) < 0 ||
		 typeset_parse(buf_str(&out), out.len, &again, why, sizeof(why)) < 0)
		abort();
	typeset_free(s);
	typeset_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_type((const char *)data, size);
	as_set((const char *)data, size);
	return 0;
}
