/* Index 0 of a route is the authoritative backend. A page stands on a rung, and that moves on only when the backend there
 * cannot ever do the page; an answer from further down is provisional. */
#include "daemon/courier_route.h"

size_t route_first(const enum rung_state *rungs, size_t n, size_t rung)
{
	while (rung < n && rungs[rung] == RUNG_ABSENT)
		rung++;
	return MIN(rung, n);
}

int route_target(const enum rung_state *rungs, size_t n, size_t rung, size_t answered)
{
	size_t first = route_first(rungs, n, rung), end = MIN(answered, n);

	if (first == n)
		return ROUTE_NOBODY;
	for (size_t i = first; i < end; i++) {
		switch (rungs[i]) {
		case RUNG_READY:
			return (int)i;
		case RUNG_WAIT:
			return ROUTE_WAIT;
		case RUNG_ABSENT:
		case RUNG_DOWN:
		case RUNG_PASSED:
			break;
		}
	}
	return ROUTE_WAIT;
}

/* The backend the page stands on cannot do it: on to the next, or the fallback's answer is final, or a person is needed. */
static void pass_on(const struct route_case *c, struct route_decision *ret)
{
	size_t next = c->asked + 1;

	/* A fallback that has failed it already would only fail it again. */
	while (next < c->n && (c->rungs[next] == RUNG_ABSENT || c->rungs[next] == RUNG_PASSED))
		next++;
	if (c->state == STATE_PROVISIONAL && next >= c->answered) {
		ret->state = STATE_DONE;
		return;
	}
	if (next >= c->n) {
		ret->state = STATE_HELD;
		return;
	}
	ret->rung = next;
}

static void decide_failed(const struct route_case *c, bool final, bool fallback, struct route_decision *ret)
{
	ret->charged = true;
	/* What a fallback cannot do, the authoritative one may still: the page waits for that. */
	if (fallback)
		ret->passed = final || c->exhausted;
	else if (final || c->exhausted)
		pass_on(c, ret);
}

void route_decide(const struct route_case *c, struct route_decision *ret)
{
	bool fallback = c->asked > route_first(c->rungs, c->n, c->rung);

	*ret = (struct route_decision){.state = c->state, .rung = c->rung};
	switch (c->outcome) {
	case PAGE_DONE:
		ret->state = fallback ? STATE_PROVISIONAL : STATE_DONE;
		ret->authoritative = !fallback;
		break;
	case PAGE_NEXT:
		decide_failed(c, true, fallback, ret);
		break;
	case PAGE_RETRY:
		decide_failed(c, false, fallback, ret);
		break;
	case PAGE_REJECT:
		ret->charged = true;
		if (fallback)
			ret->passed = true;
		else
			ret->state = STATE_HELD;
		break;
	case PAGE_UNTOUCHED:
		break;
	}
}
