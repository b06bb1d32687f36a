/* Requests that carry no page (pageferryctl doctor --ask) go to the same accounts: they count in a backend's minute and pace. */
#include "daemon/courier_internal.h"

int64_t courier_aside_wait_ms(struct courier *c, const char *backend, int64_t tokens)
{
	struct backend *b = backend_find(c, backend);

	return b ? backend_minute_wait_ms(b, tokens) : 0;
}

int64_t courier_aside_begin(struct courier *c, const char *backend, int64_t tokens)
{
	struct backend *b = backend_find(c, backend);

	if (b)
		backend_count(b, tokens);
	return clock_boottime_ms(c->service->clock);
}

void courier_aside_end(struct courier *c, const char *backend, int64_t began_ms, int64_t tokens, const struct verdict *v)
{
	struct backend *b = backend_find(c, backend);

	if (!b)
		return;
	if (v->usage.reported)
		backend_tokens(b, began_ms, tokens, (int64_t)MIN(v->usage.input + v->usage.output, (uint64_t)INT32_MAX));
	backend_paced(b, began_ms, v);
	courier_kick(c);
}
