#include "capture/hold.h"

#include <math.h>

#include "capture/scale.h"

static uint32_t part(uint32_t side, double by)
{
	return MAX((uint32_t)lrint(side * by), 1U);
}

static size_t bytes_of(const struct image_plane *p)
{
	return (size_t)p->width * p->height;
}

static int keep_row(void *ud, unsigned int plane, const uint8_t *row)
{
	struct held *h = &((struct hold *)ud)->held[plane];

	if (h->filled < h->plane.height)
		memmove(h->data + (size_t)h->filled++ * h->plane.width, row, h->plane.width);
	return 0;
}

/* From `from`, whose rows will be pushed, to h->plane. */
static int make_smaller(struct hold *h, unsigned int plane, const struct image_plane *from)
{
	struct held *to = &h->held[plane];
	struct scale_axis x = {from->width, to->plane.width, 0, (double)from->width / to->plane.width},
			  y = {from->height, to->plane.height, 0, (double)from->height / to->plane.height};

	to->plane.sx = from->sx / x.step;
	to->plane.sy = from->sy / y.step;
	return scaler_new(&x, &y, keep_row, h, plane, &to->smaller);
}

/* The size at which a plane is held when all are too large. */
static struct image_plane fitting(const struct image *im, unsigned int plane, size_t max)
{
	const struct image_plane *luma = &im->plane[0];
	double all = (double)bytes_of(luma) * (im->n_planes > 1 ? 1.5 : 1), by = MIN(sqrt(max / all), 1.0) / (plane ? 2 : 1);
	struct image_plane p = im->plane[plane];

	p.width = MIN(p.width, part(luma->width, by));
	p.height = MIN(p.height, part(luma->height, by));
	return p;
}

int hold_init(struct hold *h, const struct image *im, size_t max)
{
	size_t whole = 0;

	h->n_planes = im->n_planes;
	for (unsigned int i = 0; i < im->n_planes; i++)
		whole += bytes_of(&im->plane[i]);
	for (unsigned int i = 0; i < im->n_planes; i++) {
		const struct image_plane *from = &im->plane[i];
		struct held *to = &h->held[i];
		int r = 0;

		to->plane = whole > max ? fitting(im, i, max) : *from;
		if (to->plane.width != from->width || to->plane.height != from->height)
			r = make_smaller(h, i, from);
		to->data = malloc(MAX(bytes_of(&to->plane), 1U));
		if (r < 0 || !to->data)
			return r < 0 ? r : -ENOMEM;
	}
	return 0;
}

int hold_push(struct hold *h, unsigned int plane, const uint8_t *row)
{
	return h->held[plane].smaller ? scaler_push(h->held[plane].smaller, row) : keep_row(h, plane, row);
}

/* A row of the result is written no lower than the rows that were read for it, which the scaler has copied. */
int hold_shrink(struct hold *h, unsigned int plane, double by_x, double by_y)
{
	struct held *p = &h->held[plane];
	struct image_plane from = p->plane;
	int r;

	p->plane.width = part(from.width, by_x);
	p->plane.height = part(from.height, by_y);
	if (p->plane.width == from.width && p->plane.height == from.height)
		return 0;
	p->filled = 0;
	scaler_free(take_ptr(p->smaller));
	r = make_smaller(h, plane, &from);
	for (uint32_t y = 0; y < from.height && r >= 0; y++)
		r = scaler_push(p->smaller, p->data + (size_t)y * from.width);
	return r;
}

int hold_give(const struct hold *h, unsigned int plane, struct scaler *to)
{
	const struct held *p = &h->held[plane];
	int r = 0;

	for (uint32_t y = 0; y < p->filled && r >= 0; y++)
		r = scaler_push(to, p->data + (size_t)y * p->plane.width);
	return r;
}

void hold_free(struct hold *h)
{
	for (unsigned int i = 0; i < h->n_planes; i++) {
		free(take_ptr(h->held[i].data));
		scaler_free(take_ptr(h->held[i].smaller));
	}
}
