/* What went where, by backend, host, region, model and whether it was with Lab=yes. */
#include <arpa/inet.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"
#include "ctl/audit.h"
#include "ctl/table.h"

enum { BACKEND, HOST, REGION, RESOLVED, MODEL, TIER, TO_MAX };
enum { REQUESTS, BYTES, TOKENS_IN, TOKENS_OUT, COST, REFUSED, NOT_SENT, CUT_OFF, COUNT_MAX };
static const char *const members[TO_MAX] = {"backend", "host", "region", "resolved", "model", "tier"};
static const char *const counts[COUNT_MAX] = {
	"requests", "bytes", "tokensInput", "tokensOutput", "costPicoUsd", "refused", "notSent", "cutOff"};

struct row {
	char to[TO_MAX][256]; /* RESOLVED: regions, each once, by blanks */
	bool lab, abroad;
	int64_t n[COUNT_MAX];
	int64_t first_ms, last_ms; /* of its receipts' times */
	uint64_t *pages; /* owned: a hash each; with doubles until they are counted */
	size_t n_pages, size;
};

struct audit_report {
	struct row *rows; /* owned */
	size_t n;
	int64_t receipts, not_trusted; /* not_trusted: their time may be wrong */
	int64_t first_ms, last_ms;
};

int audit_report_new(struct audit_report **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void audit_report_free(struct audit_report *r)
{
	for (size_t i = 0; r && i < r->n; i++)
		free(r->rows[i].pages);
	if (r)
		free(r->rows);
	free(r);
}

/* ---- where ----------------------------------------------------------------------------------------------- */

/* A literal that no router of the public network carries. */
static bool is_private(const char *host)
{
	struct in6_addr six;
	char bare[64];
	struct in_addr four;
	size_t len = strcspn(host + (*host == '['), "]%");
	uint32_t a;

	if (len >= sizeof(bare))
		return false;
	memcpy(bare, host + (*host == '['), len);
	bare[len] = 0;
	if (inet_pton(AF_INET6, bare, &six) == 1)
		return (six.s6_addr[0] & 0xfe) == 0xfc || (six.s6_addr[0] == 0xfe && (six.s6_addr[1] & 0xc0) == 0x80) ||
		       IN6_IS_ADDR_LOOPBACK(&six);
	if (inet_pton(AF_INET, bare, &four) != 1)
		return false;
	a = ntohl(four.s_addr);
	return a >> 24 == 10 || a >> 24 == 127 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 || a >> 16 == 0xa9fe;
}

bool audit_in_australia(const char *host, const char *region)
{
	static const char *const regions[] = {"ap-southeast-2", "ap-southeast-4"};
	char label[24];

	if (!*host)
		return !*region; /* a helper of this machine */
	if (is_private(host))
		return !*region;
	for (size_t i = 0; i < ARRAY_SIZE(regions); i++) {
		str_format(label, sizeof(label), ".%s.", regions[i]);
		if (streq(region, regions[i]) && strstr(host, label))
			return true;
	}
	return false;
}

/* The region of a word: an ARN's, arn:aws:bedrock:REGION:..., or the word itself; "?" where an ARN ends too early. */
static void region_of(const char *word, size_t len, char region[static 33])
{
	const char *at = word, *colon;

	for (int i = 0; starts_with(word, "arn:") && at && i < 3; i++) {
		colon = memchr(at, ':', len - (size_t)(at - word));
		at = colon ? colon + 1 : NULL;
	}
	if (at)
		len -= (size_t)(at - word);
	colon = at ? memchr(at, ':', len) : NULL;
	str_format(region, 33, "%.*s", at ? (int)MIN(colon ? (size_t)(colon - at) : len, (size_t)32) : 1, at ? at : "?");
}

/* Those of a list, each once. */
static void regions_of(const char *resolved, char *out, size_t size)
{
	char region[33];

	out[0] = 0;
	while (*(resolved += strspn(resolved, " "))) {
		size_t len = strcspn(resolved, " "), used = strlen(out);

		region_of(resolved, len, region);
		if (!strstr(out, region))
			str_format(out + used, size - used, "%s%s", used ? " " : "", region);
		resolved += len;
	}
}

/* Does each of them lie there? */
static bool all_in_australia(const char *regions)
{
	char label[40];

	while (*(regions += strspn(regions, " "))) {
		size_t len = strcspn(regions, " ");

		str_format(label, sizeof(label), "%.*s", (int)MIN(len, sizeof(label) - 1), regions);
		if (!streq(label, "ap-southeast-2") && !streq(label, "ap-southeast-4"))
			return false;
		regions += len;
	}
	return true;
}

/* ---- adding ---------------------------------------------------------------------------------------------- */

static int row_for(struct audit_report *r, const cJSON *body, struct row **ret)
{
	struct row want = {}, *rows;
	size_t i;

	for (i = 0; i < TO_MAX; i++)
		str_format(want.to[i], sizeof(want.to[i]), "%.255s", text_of(body, members[i]));
	memset(want.to[RESOLVED], 0, sizeof(want.to[RESOLVED]));
	regions_of(text_of(body, "resolved"), want.to[RESOLVED], sizeof(want.to[RESOLVED]));
	json_get_bool(body, "lab", &want.lab);
	want.abroad = !audit_in_australia(want.to[HOST], want.to[REGION]) || !all_in_australia(want.to[RESOLVED]);
	for (i = 0; i < r->n; i++)
		if (r->rows[i].lab == want.lab && memcmp(r->rows[i].to, want.to, sizeof(want.to)) == 0)
			break;
	if (i == r->n) {
		rows = reallocarray(r->rows, r->n + 1, sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		r->rows = rows;
		r->rows[r->n++] = want;
	}
	*ret = &r->rows[i];
	return 0;
}

static int add_page(struct row *row, const char *page)
{
	uint8_t digest[SHA256_SIZE];
	uint64_t *pages;

	if (row->n_pages == row->size) {
		pages = reallocarray(row->pages, row->size * 2 + 64, sizeof(*pages));
		if (!pages)
			return -ENOMEM;
		row->pages = pages;
		row->size = row->size * 2 + 64;
	}
	sha256_of(page, strlen(page), digest);
	memcpy(&row->pages[row->n_pages++], digest, sizeof(*row->pages));
	return 0;
}

/* A request about several pages names them all. */
static int add_pages(struct row *row, const cJSON *body)
{
	const cJSON *pages = json_get_array(body, "pages"), *page;
	int r = 0;

	if (!pages)
		return add_page(row, text_of(body, "page"));
	cJSON_ArrayForEach(page, pages)
		if (r >= 0)
			r = add_page(row, text_of(page, "page"));
	return r;
}

static void add_number(struct row *row, size_t which, const cJSON *body, const char *member)
{
	int64_t v;

	if (json_get_i64(body, member, &v) == 0 && v > 0 && row->n[which] <= INT64_MAX - v)
		row->n[which] += v;
}

static void add_time(int64_t t, int64_t *first, int64_t *last)
{
	*first = *first == 0 || t < *first ? t : *first;
	*last = MAX(*last, t);
}

int audit_report_add(struct audit_report *r, const cJSON *body)
{
	const char *kind = text_of(body, "kind");
	struct row *row;
	int64_t t = 0;

	if (row_for(r, body, &row) < 0)
		return -ENOMEM;
	json_get_i64(body, "t", &t);
	add_time(t, &row->first_ms, &row->last_ms);
	add_time(t, &r->first_ms, &r->last_ms);
	r->receipts++;
	r->not_trusted += !streq(text_of(body, "trust"), "trusted");
	if (streq(kind, "sent")) {
		row->n[REQUESTS]++;
		add_number(row, BYTES, body, "bytes");
		return add_pages(row, body);
	}
	row->n[CUT_OFF] += streq(kind, "crashed");
	row->n[REFUSED] += streq(text_of(body, "reason"), "residency");
	/* It was over before there was anything to send. */
	row->n[NOT_SENT] += streq(kind, "answered") && !*text_of(body, "body");
	add_number(row, TOKENS_IN, body, "in");
	add_number(row, TOKENS_OUT, body, "out");
	add_number(row, COST, body, "pusd");
	return 0;
}

/* ---- printing -------------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int64_t count_pages(struct row *row)
{
	int64_t n = row->n_pages > 0;

	if (row->n_pages > 0)
		qsort(row->pages, row->n_pages, sizeof(*row->pages), by_number);
	for (size_t i = 1; i < row->n_pages; i++)
		n += row->pages[i] != row->pages[i - 1];
	return n;
}

/* What stands out, first; then by name. */
static int by_weight(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int wx = 2 * x->abroad + x->lab, wy = 2 * y->abroad + y->lab;

	return wx != wy ? wy - wx : memcmp(x->to, y->to, sizeof(x->to));
}

static const char *mark(const struct row *row)
{
	if (row->n[REQUESTS] == 0 && row->n[NOT_SENT] > 0)
		return row->n[REFUSED] > 0 ? "refused, nothing went" : "nothing went";
	return row->abroad ? "NOT KNOWN TO BE IN AUSTRALIA" : row->lab ? "Lab=yes" : "";
}

static int add_times(cJSON *j, int64_t first_ms, int64_t last_ms)
{
	char first[TIMESTAMP_SIZE], last[TIMESTAMP_SIZE];

	timestamp_format(first_ms, false, first);
	timestamp_format(last_ms, false, last);
	return json_add_string(j, "first", first) < 0 ? -ENOMEM : json_add_string(j, "last", last);
}

/* The last object. */
static int put_summary(const struct audit_report *r)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (!j || json_add_bool(j, "summary", true) < 0 || json_add_i64(j, "receipts", r->receipts) < 0 ||
		json_add_i64(j, "timeNotTrusted", r->not_trusted) < 0 || (r->receipts > 0 && add_times(j, r->first_ms, r->last_ms) < 0))
		return EXIT_PAGE_FAILED;
	return ctl_put_json(j);
}

static int put_json(struct row *row)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	char digits[24];
	int r = j ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < TO_MAX; i++)
		r = json_add_string(j, members[i], row->to[i][0] ? row->to[i] : NULL);
	if (r >= 0)
		r = json_add_bool(j, "lab", row->lab);
	if (r >= 0)
		r = json_add_bool(j, "australia", !row->abroad);
	if (r >= 0)
		r = add_times(j, row->first_ms, row->last_ms);
	if (r >= 0)
		r = json_add_i64(j, "pages", count_pages(row));
	for (size_t i = 0; r >= 0 && i < COUNT_MAX; i++) {
		str_format(digits, sizeof(digits), "%" PRId64, row->n[i]);
		/* Money is digits in a string wherever it is JSON. */
		r = i == COST ? json_add_string(j, counts[i], digits) : json_add_i64(j, counts[i], row->n[i]);
	}
	return r < 0 ? EXIT_PAGE_FAILED : ctl_put_json(j);
}

static int add_csv(struct buf *out, struct row *row)
{
	char first[TIMESTAMP_SIZE], last[TIMESTAMP_SIZE];
	int r = 0;

	timestamp_format(row->first_ms, false, first);
	timestamp_format(row->last_ms, false, last);

	for (size_t i = 0; r >= 0 && i < TO_MAX; i++) {
		r = text_csv_cell(out, row->to[i]);
		if (r >= 0)
			r = buf_addc(out, ',');
	}
	if (r >= 0)
		r = buf_addf(out, "%s,%s,%s,%s,%" PRId64, row->lab ? "yes" : "no", row->abroad ? "no" : "yes", first, last, count_pages(row));
	for (size_t i = 0; r >= 0 && i < COUNT_MAX; i++)
		r = buf_addf(out, ",%" PRId64, row->n[i]);
	return r < 0 ? r : buf_adds(out, "\r\n");
}

static int put_csv(struct audit_report *r)
{
	_cleanup_buf_ struct buf out = {};
	int e = buf_adds(&out, "backend,host,region,resolved,model,tier,lab,australia,first,last,pages,requests,bytes,tokens_input,tokens_output,"
				    "cost_pico_usd,refused,not_sent,cut_off\r\n");

	for (size_t i = 0; e >= 0 && i < r->n; i++)
		e = add_csv(&out, &r->rows[i]);
	return e < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

static int add_count(struct table *t, int64_t n)
{
	char digits[24] = "";

	if (n != 0)
		str_format(digits, sizeof(digits), "%" PRId64, n);
	return table_cell(t, STYLE_PLAIN, digits);
}

/* With what belongs to it: where it is called, and where that leads; the model, and how it is asked. */
static int add_pair(struct table *t, const char *text, const char *before, const char *more, const char *behind)
{
	char both[600];

	str_format(both, sizeof(both), "%s%s%s%s", text, *more ? before : "", more, *more ? behind : "");
	return table_cell(t, STYLE_PLAIN, both);
}

static int add_text_row(struct table *t, struct row *row)
{
	_cleanup_buf_ struct buf bytes = {}, cost = {};
	int r = table_row(t);

	if (r >= 0)
		r = table_cell(t, row->abroad ? STYLE_BAD : STYLE_WARN, mark(row));
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, row->to[BACKEND]);
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, row->to[HOST]);
	if (r >= 0)
		r = add_pair(t, row->to[REGION], " to ", row->to[RESOLVED], "");
	if (r >= 0)
		r = add_pair(t, row->to[MODEL], " (", row->to[TIER], ")");
	if (r >= 0)
		r = add_count(t, count_pages(row));
	if (r >= 0)
		r = add_count(t, row->n[REQUESTS]);
	if (r >= 0)
		r = format_bytes(&bytes, row->n[BYTES]);
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, buf_str(&bytes));
	if (r >= 0)
		r = add_count(t, row->n[TOKENS_IN] + row->n[TOKENS_OUT]);
	if (r >= 0)
		r = format_money(&cost, row->n[COST]);
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, buf_str(&cost));
	if (r >= 0)
		r = add_count(t, row->n[REFUSED]);
	return r < 0 ? r : add_count(t, row->n[CUT_OFF]);
}

/* What it is the sum of. */
static int add_extent(const struct audit_report *r, struct buf *out)
{
	char first[TIMESTAMP_SIZE], last[TIMESTAMP_SIZE];
	int e;

	timestamp_format(r->first_ms, false, first);
	timestamp_format(r->last_ms, false, last);
	e = buf_addf(out, "%" PRId64 " receipts, %s to %s\n", r->receipts, first, last);
	if (e >= 0 && r->not_trusted > 0)
		e = buf_addf(out,
			"the time of %" PRId64 " was not known to be right when they were written: they may be of another time, and others of this one\n",
			r->not_trusted);
	return e;
}

static int put_text(struct audit_report *r, struct ctl *c)
{
	static const char *const titles[] = {"", "backend", "host", "region", "model", ">pages", ">requests", ">bytes", ">tokens", ">cost",
		">refused", ">cut off", NULL};
	_cleanup_table_ struct table *t = NULL;
	_cleanup_buf_ struct buf out = {};
	int e = table_new(titles, &t);

	for (size_t i = 0; e >= 0 && i < r->n; i++)
		e = add_text_row(t, &r->rows[i]);
	if (e >= 0)
		e = r->n > 0 ? table_print(t, &c->look, true, 0, 0, &out) : buf_adds(&out, "no receipts\n");
	if (e >= 0 && r->n > 0)
		e = add_extent(r, &out);
	return e < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

int audit_report_put(struct audit_report *r, struct ctl *c)
{
	int e = EXIT_WELL;

	if (r->n > 0)
		qsort(r->rows, r->n, sizeof(r->rows[0]), by_weight);
	if (c->options.csv)
		return put_csv(r);
	if (!c->options.json)
		return put_text(r, c);
	for (size_t i = 0; e == EXIT_WELL && i < r->n; i++)
		e = put_json(&r->rows[i]);
	return e == EXIT_WELL ? put_summary(r) : e;
}
