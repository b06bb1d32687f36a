/* A helper's reply from the first byte to fields: ocr_words_parse(), ocr_classify(), ocr_map(). A first byte
 * of '!' asks for the words of the rest as they stand, which gets the fuzzer past the framing. */
#include <inttypes.h>

#include "base/buf.h"
#include "extract/ocrmap.h"

static const char types[] = "[{\"name\":\"universal\",\"title\":\"U\",\"version\":1,\"prompt\":\"p\","
			    "\"schema\":{\"type\":\"object\",\"add"
			    "itionalProperties\":false,\"properties\":{\"document\":{\"type\":\"string\","
			    "\"enum\":[\"a\",\"b\"]}}},\""
			    "fields\":[{\"name\":\"document\",\"title\":\"Document\",\"kind\":\"enum\"}],"
			    "\"checks\":[],\"ocr\":{\"docum"
			    "ent\":{\"rule\":\"choose\",\"words\":{\"a\":[\"Alpha\"]},\"else\":\"b\"}}},{"
			    "\"name\":\"bill\",\"title\":\"B\",\""
			    "version\":1,\"prompt\":\"p\",\"schema\":{\"type\":\"object\","
			    "\"additionalProperties\":false,\"properti"
			    "es\":{\"who\":{\"type\":\"string\",\"maxLength\":80},\"abn\":{\"type\":"
			    "\"string\",\"pattern\":\"^[0-9]{11}"
			    "$\",\"maxLength\":11},\"day\":{\"type\":\"string\",\"format\":\"date\","
			    "\"maxLength\":10},\"until\":{\"type"
			    "\":\"string\",\"format\":\"date\",\"maxLength\":10},\"how\":{\"type\":"
			    "\"string\",\"maxLength\":20},\"total"
			    "\":{\"type\":\"string\",\"pattern\":\"^-?[0-9]{1,12}\\\\.[0-9]{2}$\","
			    "\"maxLength\":20},\"gst\":{\"type\":"
			    "\"string\",\"pattern\":\"^-?[0-9]{1,12}\\\\.[0-9]{2}$\",\"maxLength\":20},"
			    "\"lines\":{\"type\":\"array\","
			    "\"maxItems\":50,\"items\":{\"type\":\"object\",\"additionalProperties\":false,"
			    "\"required\":[\"what\",\""
			    "amount\"],\"properties\":{\"on\":{\"type\":\"string\",\"format\":\"date\","
			    "\"maxLength\":10},\"what\":{\"ty"
			    "pe\":\"string\",\"maxLength\":80},\"quantity\":{\"type\":\"string\",\"pattern\":"
			    "\"^-?[0-9]{1,9}(\\\\.[0-"
			    "9]{1,6})?$\",\"maxLength\":18},\"amount\":{\"type\":\"string\",\"pattern\":\"^-?"
			    "[0-9]{1,12}\\\\.[0-9]{"
			    "2}$\",\"maxLength\":20}}}}}},\"fields\":[{\"name\":\"who\",\"title\":\"Who\","
			    "\"kind\":\"text\",\"labels\":["
			    "\"Bill "
			    "to\",\"To\"]},{\"name\":\"abn\",\"title\":\"Abn\",\"kind\":\"abn\",\"labels\":["
			    "\"ABN\"]},{\"name\":\"day"
			    "\",\"title\":\"Day\",\"kind\":\"date\",\"labels\":[\"Date\",\"From\"]},{"
			    "\"name\":\"until\",\"title\":\"Until\","
			    "\"kind\":\"date\"},{\"name\":\"how\",\"title\":\"How\",\"kind\":\"text\"},{"
			    "\"name\":\"total\",\"title\":\"Total"
			    "\",\"kind\":\"money\",\"labels\":[\"Total\",\"Amount "
			    "due\"]},{\"name\":\"gst\",\"title\":\"Gst\",\"kind\":\"mo"
			    "ney\",\"labels\":[\"GST\",\"Total "
			    "GST\"]},{\"name\":\"lines\",\"title\":\"Lines\",\"kind\":\"rows\",\"column"
			    "s\":[{\"name\":\"on\",\"title\":\"On\",\"kind\":\"date\",\"labels\":[\"Date\"]},"
			    "{\"name\":\"what\",\"title\":\"W"
			    "hat\",\"kind\":\"text\",\"labels\":[\"Description\",\"Item\"]},{\"name\":"
			    "\"quantity\",\"title\":\"Quantity"
			    "\",\"kind\":\"decimal\",\"labels\":[\"Qty\"]},{\"name\":\"amount\",\"title\":"
			    "\"Amount\",\"kind\":\"money\",\"l"
			    "abels\":[\"Amount\",\"Total\"]}]}],\"classify\":[\"Tax "
			    "bill\",\"Total\"],\"checks\":[],\"ocr\":{\"who\":{"
			    "\"rule\":\"largest\",\"not\":[\"Tax "
			    "bill\"]},\"abn\":{\"rule\":\"any\"},\"until\":{\"rule\":\"after\",\"field"
			    "\":\"day\"},\"how\":{\"rule\":\"find\",\"words\":[\"Cash\",\"Visa\"]},\"total\":"
			    "{\"prefer\":\"last\",\"like\":\""
			    "[0-9]\"},\"lines\":{\"rule\":\"items\",\"carry\":[\"on\"]}}}]";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct typeset *types_get(void)
{
	static struct typeset *s; /* made once: it is not what is fuzzed */
	char why[256];

	if (!s && typeset_parse(types, sizeof(types) - 1, &s, why, sizeof(why)) < 0)
		abort();
	return s;
}

static int frame_words(const uint8_t *data, size_t size, struct buf *out)
{
	int r = buf_addf(out, "{\"type\":\"words\",\"width\":1448,\"height\":2048,\"bytes\":%zu}\n", size);

	r = r < 0 ? r : buf_add(out, data, size);
	return r < 0 ? r : buf_adds(out, "{\"type\":\"end\",\"ok\":true}\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf reply = {};
	struct typeset *s = types_get();
	const struct doctype *t = NULL;
	struct ocr_words *w;
	char why[160];

	if (size > 0 && data[0] == '!' ? frame_words(data + 1, size - 1, &reply) < 0
				       : buf_add(&reply, data, size) < 0)
		return 0;
	if (ocr_words_parse(buf_str(&reply), reply.len, &w, why, sizeof(why)) < 0)
		return 0;
	if (ocr_classify(s, w, &t) == 0 && !t)
		abort();
	for (size_t i = 0; i < s->n_types; i++) {
		cJSON *answer, *evidence;

		if (ocr_map(s->types[i], w, &answer, &evidence) < 0)
			continue;
		cJSON_Delete(answer);
		cJSON_Delete(evidence);
	}
	ocr_words_free(w);
	return 0;
}
