/* The residency guard as a filter, for another judge to be compared with: a line is SINK MELBOURNE LAB URL REGION MODEL, the last
 * three in hexadecimal or "-" for none; the answer is the number of enum guard_answer. */
#include <stdio.h>

#include "cloud/guard.h"

static char *unhex(char *s)
{
	size_t n = strlen(s) / 2;

	if (streq(s, "-"))
		return NULL;
	for (size_t i = 0; i < n; i++) {
		unsigned int byte;

		if (sscanf(s + 2 * i, "%2x", &byte) != 1)
			exit(2);
		s[i] = (char)byte;
	}
	s[n] = '\0';
	return s;
}

int main(void)
{
	static char url[20001], region[4001], model[8001], why[512];
	int sink, melbourne, lab;

	while (scanf("%d %d %d %20000s %4000s %8000s", &sink, &melbourne, &lab, url, region, model) == 6) {
		struct guard_policy p = {.sydney_only = !melbourne, .lab = lab};
		struct guard_question q = {
			.sink = (enum guard_sink)sink, .url = unhex(url), .region = unhex(region), .model = unhex(model)};

		printf("%d\n", guard_check(&p, &q, why, sizeof(why)));
	}
	return 0;
}
