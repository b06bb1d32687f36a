/* The residency guard as a filter, for another judge to be compared with: a line is SINK MELBOURNE LAB URL REGION MODEL, the last
 * three "-" for none or "x" and the text in hexadecimal; the answer is the number of enum guard_answer. */
#include <stdio.h>

#include "base/crypto.h"
#include "base/parse.h"
#include "cloud/guard.h"

#define WORD_MAX 20004

/* The next word of the line as a number. */
static int take_number(const char **line, int64_t max, int64_t *ret)
{
	char word[16];

	return parse_word(line, word, sizeof(word)) == 1 ? parse_i64(word, 0, max, ret) : -EINVAL;
}

/* The next word as a text in `out`, or NULL in *ret. */
static int take_text(const char **line, char out[static WORD_MAX], const char **ret)
{
	size_t len;
	int r = parse_word(line, out, WORD_MAX);

	if (r != 1)
		return -EINVAL;
	*ret = NULL;
	if (streq(out, "-"))
		return 0;
	len = strlen(out);
	if (out[0] != 'x' || len % 2 == 0)
		return -EINVAL;
	len /= 2;
	memmove(out, out + 1, 2 * len + 1);
	r = hex_decode(out, out, len); /* a byte is written behind the two digits that are read */
	out[len] = '\0';
	*ret = out;
	return r;
}

static int answer(const char *line)
{
	static char url[WORD_MAX], region[WORD_MAX], model[WORD_MAX], why[512];
	int64_t sink, melbourne, lab;
	struct guard_question q = {};
	struct guard_policy p;

	if (take_number(&line, GUARD_WEBHOOK, &sink) < 0 || take_number(&line, 1, &melbourne) < 0 || take_number(&line, 1, &lab) < 0 ||
		take_text(&line, url, &q.url) < 0 || take_text(&line, region, &q.region) < 0 || take_text(&line, model, &q.model) < 0)
		return -EINVAL;
	q.sink = (enum guard_sink)sink;
	p = (struct guard_policy){.sydney_only = !melbourne, .lab = lab};
	return (int)guard_check(&p, &q, why, sizeof(why));
}

int main(void)
{
	char *line = NULL;
	size_t size = 0;
	int r = 0;

	while (r >= 0 && getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		r = answer(line);
		if (r >= 0)
			printf("%d\n", r);
	}
	free(line);
	return r < 0 ? 2 : 0;
}
