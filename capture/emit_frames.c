#include "capture/emit.h"

#include "base/crypto.h"
#include "base/frame.h"
#include "base/step.h"
#include "capture/record.h"

struct emit_frames {
	struct emit emit;
	int fd;
	struct sha256 *hash;
	uint64_t bytes; /* of the page so far */
};

static inline struct emit_frames *frames_of(struct emit *e)
{
	return (struct emit_frames *)e;
}

/* Sends what the caller built, if building went well. Frees it. */
static int send(struct emit_frames *f, cJSON *head, int r)
{
	if (r >= 0)
		r = frame_write(f->fd, head, NULL, 0);
	cJSON_Delete(head);
	return r;
}

static int frame_new(const char *type, cJSON **ret)
{
	cJSON *j = cJSON_CreateObject();
	int r = j ? json_add_string(j, "type", type) : -ENOMEM;

	if (r < 0) {
		cJSON_Delete(j);
		return r;
	}
	*ret = j;
	return 0;
}

/* Whole milliseconds, rounded. */
static int add_ms(cJSON *ms, const char *name, int64_t us)
{
	return json_add_i64(ms, name, (us + 500) / 1000);
}

static int add_done(cJSON *capture, const struct page_info *p)
{
	cJSON *j = NULL;
	int r = record_done(p, &j);

	return r <= 0 ? r : json_add_take(capture, "sense", j);
}

static int add_grab(cJSON *capture, const struct page_grab *g)
{
	cJSON *j;
	int r;

	if (!g->device[0])
		return 0;
	j = cJSON_CreateObject();
	r = j ? json_add_string(j, "device", g->device) : -ENOMEM;
	r = r < 0 ? r : json_add_i64(j, "frames", g->frames);
	r = r < 0 ? r : json_add_i64(j, "bad", g->bad);
	r = r < 0 ? r : json_add_i64(j, "reopened", g->reopened);
	r = r < 0 ? r : json_add_bool(j, "settled", g->settled);
	if (r < 0) {
		cJSON_Delete(j);
		return r;
	}
	return json_add_take(capture, "camera", j);
}

static int capture_json(const struct page_info *p, cJSON **ret)
{
	cJSON *j = cJSON_CreateObject(), *ms = cJSON_CreateObject();
	int r = j && ms ? 0 : -ENOMEM;

	r = r < 0 ? r : json_add_string(j, "format", p->format);
	r = r < 0 ? r : json_add_i64(j, "orientation", p->orientation);
	r = r < 0 ? r : json_add_i64(j, "decode_eighths", p->eighths);
	r = r < 0 ? r : json_add_i64(j, "quality", p->quality);
	r = r < 0 ? r : json_add_bool(j, "grey", p->grey);
	r = r < 0 ? r : json_add_bool(j, "cropped", p->cropped);
	r = r < 0 ? r : json_add_i64(j, "rotate", p->rotate);
	r = r < 0 ? r : add_done(j, p);
	r = r < 0 ? r : add_grab(j, &p->grab);
	r = r < 0 ? r : add_ms(ms, "grab", p->us.grab);
	r = r < 0 ? r : add_ms(ms, "open", p->us.open);
	if (r >= 0)
		r = json_add_take(j, "ms", take_ptr(ms));
	cJSON_Delete(ms);
	if (r < 0) {
		cJSON_Delete(j);
		return r;
	}
	*ret = j;
	return 0;
}

static int frames_page(struct emit *e, const struct page_info *p)
{
	struct emit_frames *f = frames_of(e);
	cJSON *j = NULL, *capture = NULL;
	uint8_t unused[SHA256_SIZE];
	int r = frame_new("page", &j);

	sha256_final(f->hash, unused); /* a page that was taken back left its part in it */
	f->bytes = 0;
	r = r < 0 ? r : json_add_i64(j, "index", p->index);
	r = r < 0 ? r : json_add_string(j, "name", p->name);
	r = r < 0 ? r : json_add_i64(j, "width", p->width);
	r = r < 0 ? r : json_add_i64(j, "height", p->height);
	r = r < 0 ? r : json_add_i64(j, "source_width", p->source_width);
	r = r < 0 ? r : json_add_i64(j, "source_height", p->source_height);
	r = r < 0 ? r : capture_json(p, &capture);
	r = r < 0 ? r : json_add_take(j, "capture", capture);
	return send(f, j, r);
}

static int frames_data(struct emit *e, const void *data, size_t len)
{
	struct emit_frames *f = frames_of(e);
	_cleanup_json_ cJSON *j = NULL;
	int r = frame_new("data", &j);

	if (r < 0)
		return r;
	sha256_update(f->hash, data, len);
	r = frame_write(f->fd, j, data, len);
	if (r >= 0 && f->bytes == 0)
		STEP(HELPER_HALFWAY);
	f->bytes += len;
	return r;
}

static int add_found(cJSON *j, const struct sense_result *s)
{
	cJSON *sense = NULL;
	int r;

	if (!sense_asked(&s->asked))
		return 0;
	r = sense_json(s, &sense);
	return r < 0 ? r : json_add_take(j, "sense", sense);
}

static int frames_page_end(struct emit *e, const struct page_info *p)
{
	struct emit_frames *f = frames_of(e);
	cJSON *j = NULL, *ms = cJSON_CreateObject();
	char hex[SHA256_HEX_SIZE];
	uint8_t digest[SHA256_SIZE];
	int r = frame_new("page-end", &j);

	sha256_final(f->hash, digest);
	hex_encode(digest, sizeof(digest), hex);
	r = r < 0 || !ms ? -ENOMEM : json_add_i64(j, "bytes_total", (int64_t)f->bytes);
	r = r < 0 ? r : json_add_string(j, "sha256", hex);
	f->bytes = 0;
	r = r < 0 ? r : add_ms(ms, "grab", p->us.grab);
	r = r < 0 ? r : add_ms(ms, "open", p->us.open);
	r = r < 0 ? r : add_ms(ms, "decode", p->us.decode);
	r = r < 0 ? r : add_ms(ms, "scale", p->us.scale);
	r = r < 0 ? r : add_ms(ms, "encode", p->us.encode);
	r = r < 0 ? r : add_ms(ms, "total", p->us.total);
	r = r < 0 ? r : add_ms(ms, "cpu", p->us.cpu);
	if (r >= 0)
		r = json_add_take(j, "ms", take_ptr(ms));
	cJSON_Delete(ms);
	r = r < 0 ? r : add_found(j, &p->sense);
	return send(f, j, r);
}

static const char *const beside_names[] = {"thumbnail", "original"};

static int frames_beside(struct emit *e, enum beside what, const void *data, size_t len)
{
	struct emit_frames *f = frames_of(e);
	_cleanup_json_ cJSON *j = NULL;
	int r = frame_new("beside", &j);

	r = r < 0 ? r : json_add_string(j, "what", beside_names[what]);
	if (r < 0)
		return r;
	sha256_update(f->hash, data, len);
	f->bytes += len;
	return frame_write(f->fd, j, data, len);
}

static int frames_beside_end(struct emit *e, enum beside what)
{
	struct emit_frames *f = frames_of(e);
	char hex[SHA256_HEX_SIZE];
	uint8_t digest[SHA256_SIZE];
	cJSON *j = NULL;
	int r = frame_new("beside-end", &j);

	sha256_final(f->hash, digest);
	hex_encode(digest, sizeof(digest), hex);
	r = r < 0 ? r : json_add_string(j, "what", beside_names[what]);
	r = r < 0 ? r : json_add_i64(j, "bytes_total", (int64_t)f->bytes);
	r = r < 0 ? r : json_add_string(j, "sha256", hex);
	f->bytes = 0;
	return send(f, j, r);
}

static int frames_reject(struct emit *e, unsigned int index, const char *name, const struct reject *why)
{
	cJSON *j = NULL;
	int r = frame_new("reject", &j);

	r = r < 0 ? r : json_add_i64(j, "index", index);
	r = r < 0 ? r : json_add_string(j, "name", name);
	r = r < 0 ? r : json_add_string(j, "reason", reject_name(why->reason));
	r = r < 0 ? r : json_add_string(j, "message", why->message);
	return send(frames_of(e), j, r);
}

static int frames_end(struct emit *e, bool ok, const char *reason, const char *message)
{
	cJSON *j = NULL;
	int r = frame_new("end", &j);

	r = r < 0 ? r : json_add_bool(j, "ok", ok);
	if (!ok) {
		r = r < 0 ? r : json_add_string(j, "reason", reason);
		r = r < 0 ? r : json_add_string(j, "message", message);
	}
	STEP(HELPER_FINISHED);
	return send(frames_of(e), j, r);
}

static void frames_free(struct emit *e)
{
	sha256_free(frames_of(e)->hash);
	free(e);
}

static const struct emit_ops frames_ops = {
	.page = frames_page,
	.data = frames_data,
	.page_end = frames_page_end,
	.beside = frames_beside,
	.beside_end = frames_beside_end,
	.reject = frames_reject,
	.end = frames_end,
	.free = frames_free,
};

int emit_frames_new(int fd, struct emit **ret)
{
	struct emit_frames *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->emit.ops = &frames_ops;
	f->fd = fd;
	r = sha256_new(&f->hash);
	if (r < 0) {
		free(f);
		return r;
	}
	*ret = &f->emit;
	return 0;
}
