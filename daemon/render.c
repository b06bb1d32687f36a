#include "daemon/render.h"

#include <stdio.h>
#include <sys/mman.h>

#include "base/fileio.h"
#include "base/text.h"
#include "daemon/helper_program.h"

#define SIDE_MAX     65535
#define SIDE_MIN     16 /* as the helper's max_side */
#define QUALITY_LESS 70
#define QUALITY_MIN  60

struct render {
	struct request req; /* to the helper */
	struct helper *helper;
	struct rendering out;
	struct sha256 *hash;
	uint64_t max_bytes;
	bool page, whole;
	char said[160]; /* why the helper took the page for none */
	render_done_fn done;
	void *ud;
};

/* ---- how small ----------------------------------------------------------------------------------------------------------- */

/* A long and narrow page (a till roll) is narrow first; but three tenths it may always lose. */
static uint32_t floor_of(const struct job_image *page)
{
	uint32_t longer = MAX(page->width, page->height), shorter = MAX(MIN(page->width, page->height), 1U);
	uint64_t legible = MAX((uint64_t)longer * RENDER_SHORT_MIN / shorter, (uint64_t)RENDER_LONG_MIN);

	return (uint32_t)MIN(MIN(legible, (uint64_t)MAX(longer / 10 * 7, (uint32_t)RENDER_LONG_MIN)), (uint64_t)longer);
}

bool render_step(const struct job_image *page, int quality, unsigned int step, struct render_how *ret)
{
	uint32_t side = MAX(page->width, page->height), floor = floor_of(page);

	if (step > 0)
		quality = MIN(quality, QUALITY_LESS);
	for (unsigned int i = 1; i < step; i++) {
		if (side <= floor)
			return false;
		side = MAX(side / 10 * 7, floor);
	}
	if (step > 0 && side <= floor)
		quality = MIN(quality, QUALITY_MIN);
	*ret = (struct render_how){.max_side = MAX(side, (uint32_t)SIDE_MIN), .quality = quality};
	return true;
}

/* ---- what the helper sends ----------------------------------------------------------------------------------------------- */

void rendering_clear(struct rendering *r)
{
	if (r->image.fd >= 0)
		close(r->image.fd);
	cJSON_Delete(r->sense);
	*r = RENDERING_NONE;
}

static int side(const cJSON *head, const char *name, uint32_t *ret)
{
	int64_t v;

	if (json_get_i64(head, name, &v) < 0 || v < 1 || v > SIDE_MAX)
		return -EBADMSG;
	*ret = (uint32_t)v;
	return 0;
}

static int take_page(struct render *r, const cJSON *head)
{
	const cJSON *sense = json_get_object(json_get_object(head, "capture"), "sense");

	if (r->page || side(head, "width", &r->out.image.width) < 0 || side(head, "height", &r->out.image.height) < 0)
		return -EBADMSG;
	r->page = true;
	if (sense && !(r->out.sense = cJSON_Duplicate(sense, true)))
		return -ENOMEM;
	return 0;
}

static int take_data(struct render *r, const struct frame_piece *piece)
{
	int e;

	if (!r->page || r->whole)
		return -EBADMSG;
	r->out.image.bytes += piece->len;
	if (r->out.image.bytes > r->max_bytes)
		return -EMSGSIZE;
	e = write_all(r->out.image.fd, piece->data, piece->len);
	if (e >= 0)
		sha256_update(r->hash, piece->data, piece->len);
	return e;
}

static int take_end(struct render *r, const cJSON *head)
{
	const char *told = json_get_string(head, "sha256");
	uint8_t sum[SHA256_SIZE];

	if (!r->page || r->whole || !r->out.image.bytes)
		return -EBADMSG;
	sha256_final(r->hash, sum);
	hex_encode(sum, sizeof(sum), r->out.sha256);
	r->whole = told && streq(told, r->out.sha256);
	return r->whole ? 0 : -EBADMSG;
}

static int take_reject(struct render *r, const cJSON *head)
{
	const char *reason = json_get_string(head, "reason"), *message = json_get_string(head, "message");
	char safe_reason[48], safe_message[100];

	text_safe_copy(safe_reason, sizeof(safe_reason), reason ? reason : "damaged");
	text_safe_copy(safe_message, sizeof(safe_message), message ? message : "no more is known");
	str_format(r->said, sizeof(r->said), "%s: %s", safe_reason, safe_message);
	r->whole = false;
	return 0;
}

static int on_frame(void *ud, enum frame_part part, const struct frame_piece *piece)
{
	struct render *r = ud;

	if (streq(piece->type, "data"))
		return part == FRAME_DATA ? take_data(r, piece) : 0;
	if (part != FRAME_DONE)
		return part == FRAME_DATA ? -EBADMSG : 0;
	if (streq(piece->type, "page"))
		return take_page(r, piece->head);
	if (streq(piece->type, "page-end"))
		return take_end(r, piece->head);
	if (streq(piece->type, "reject"))
		return take_reject(r, piece->head);
	return streq(piece->type, "end") ? 0 : -EBADMSG;
}

/* ---- its run ------------------------------------------------------------------------------------------------------------- */

static void render_free(struct render *r)
{
	if (!r)
		return;
	request_free(&r->req);
	rendering_clear(&r->out);
	sha256_free(r->hash);
	free(r);
}

static void on_done(void *ud, int error, const char *why)
{
	struct render *r = ud;

	r->helper = NULL;
	if (r->said[0] || (error == 0 && !r->whole)) {
		error = -EBADMSG;
		why = r->said[0] ? r->said : "the helper gave no page";
	}
	if (error < 0) {
		r->done(r->ud, error, why, NULL);
	} else {
		r->done(r->ud, 0, NULL, &r->out);
		r->out = RENDERING_NONE;
	}
	render_free(r);
}

static int add_numbers(cJSON *head, const char *name, const uint32_t *v, int n)
{
	cJSON *array = cJSON_CreateArray();

	for (int i = 0; array && i < n; i++)
		if (!cJSON_AddItemToArray(array, cJSON_CreateNumber(v[i]))) {
			cJSON_Delete(array);
			return -ENOMEM;
		}
	return array ? json_add_take(head, name, array) : -ENOMEM;
}

static int add_cut(const struct render_how *how, cJSON *head)
{
	const uint32_t crop[] = {how->x, how->y, how->width, how->height}, of[] = {how->page_width, how->page_height};
	int e = how->cut ? add_numbers(head, "crop", crop, 4) : 0;

	if (!how->cut)
		return 0;
	if (e >= 0)
		e = add_numbers(head, "crop_of", of, 2);
	if (e >= 0)
		e = json_add_i64(head, "rotate", how->rotate);
	if (e >= 0 && how->quad)
		e = json_add_take(head, "quad", cJSON_Duplicate(how->quad, true));
	return e;
}

static int add_head(const struct service *s, const struct job_image *page, const struct render_how *how, struct request *req)
{
	_cleanup_json_ cJSON *head = cJSON_CreateObject();
	_cleanup_buf_ struct buf line = {};
	int e = head ? json_add_string(head, "type", "request") : -ENOMEM;

	if (e >= 0)
		e = json_add_string(head, "verb", "transcode");
	if (e >= 0)
		e = json_add_i64(head, "max_side", how->max_side);
	if (e >= 0)
		e = json_add_i64(head, "quality", how->quality);
	/* One that was accepted under another limit is no less a page. */
	if (e >= 0)
		e = json_add_i64(head, "max_pixels", MAX(s->config.max_pixels, (int64_t)page->width * page->height));
	if (e >= 0)
		e = json_add_bool(head, "flatten", how->flatten);
	if (e >= 0)
		e = json_add_bool(head, "contrast", how->contrast);
	if (e >= 0)
		e = add_cut(how, head);
	if (e >= 0)
		e = frame_format(head, page->bytes, &line);
	return e < 0 ? e : request_add_literal_take(req, &line);
}

static int fill(struct render *r, const struct service *s, const struct job_image *page, const struct render_how *how)
{
	int e = add_head(s, page, how, &r->req);

	if (e >= 0)
		e = request_add_file(&r->req, SEGMENT_FILE, page->fd, page->bytes);
	if (e >= 0)
		e = sha256_new(&r->hash);
	if (e < 0)
		return e;
	r->out.image.fd = memfd_create("pageferry-rendering", MFD_CLOEXEC);
	return r->out.image.fd < 0 ? -errno : 0;
}

int render_start(struct service *s, const struct job_image *page, const struct render_how *how, render_done_fn done, void *ud,
	struct render **ret)
{
	struct render *r = calloc(1, sizeof(*r));
	char program[HELPER_PROGRAM_SIZE];
	struct helper_options o;
	int e;

	if (!r)
		return -ENOMEM;
	r->out = RENDERING_NONE;
	r->max_bytes = how->max_bytes ? how->max_bytes : RENDERING_MAX;
	r->done = done;
	r->ud = ud;
	e = fill(r, s, page, how);
	if (e >= 0)
		e = helper_capture(s, program, &o);
	if (e >= 0)
		e = helper_convert(s->event, &o, &r->req, on_frame, on_done, r, &r->helper);
	if (e < 0) {
		render_free(r);
		return e;
	}
	*ret = r;
	return 0;
}

void render_cancel(struct render *r)
{
	if (!r)
		return;
	helper_cancel(r->helper);
	render_free(r);
}
