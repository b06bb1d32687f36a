/* Prices by model and region: configs/prices.conf. Picodollars a token are exact: USD a million tokens times 10^6. */
#pragma once

#include "base/ini.h"

struct prices;
/* [Model ID] sections with Region= (one or more), Input=, Output=, Cached= (USD a million tokens), Date=. */
int prices_read(const char *file, struct prices **ret, struct buf *errors);
void prices_free(struct prices *p);
struct price {
	int64_t input_pusd, output_pusd, cached_pusd; /* a token */
	int64_t request_pusd; /* a request; 0 unless the backend says so (PricePerRequest=) */
	char date[16];
};
/* An ARN has the price of the id that it ends with, unless it has one of its own. NULL if the model has no price in that region, or there are no prices at all (p NULL): then it is not sent to (its cost could
 * not be bounded). */
const struct price *prices_find(const struct prices *p, const char *model, const char *region);
/* The request and tokens * price, saturating at INT64_MAX. */
int64_t price_cost(const struct price *p, uint64_t input, uint64_t output, uint64_t cached);
