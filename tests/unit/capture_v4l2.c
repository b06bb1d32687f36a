/* The v4l2 source over a made-up driver: what it asks for, what it makes of the answers, and which frame it takes. */
#include "tests/unit/v4l2_fake.h"

static void check_scan(struct fake *f, struct mem_emit *m)
{
	struct reject why = {};

	if (fake_scan(f, "/dev/video2", m, &why) != 0)
		test_fail(__FILE__, __LINE__, "%s: %s", reject_name(why.reason), why.message);
	CHECK_INT(m->pages, 1);
}

/* ---- format and size ----------------------------------------------------------------------------- */
TEST(the_largest_frame)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_pic_ struct pic out = {};

	f.give.stride = 400;
	check_scan(&f, &m);
	out = read_jpeg(&m.jpeg, NULL, NULL);
	CHECK_INT(out.w, 160);
	CHECK_INT(out.h, 120);
	CHECK(abs(pic_at(&out, 6, 60)[1] - 214) <= 12); /* (200 - 16) * 255 / 219 */
	CHECK_STR(m.info.format, "yuyv");
	CHECK_STR(m.info.grab.device, "/dev/video2");
	CHECK(m.info.grab.settled);
}

TEST(every_format_of_one_plane)
{
	static const uint32_t fourccs[] = {V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_UYVY, V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_NV16,
		V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_YVU420, V4L2_PIX_FMT_GREY, V4L2_PIX_FMT_RGB24};

	for (size_t i = 0; i < ARRAY_SIZE(fourccs) * 2; i++) {
		struct fake f = i % 2 ? fake_mplane_of(fourccs[i / 2]) : fake_camera_of(fourccs[i / 2]);
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		_cleanup_pic_ struct pic out = {};

		f.give.quantization = V4L2_QUANTIZATION_FULL_RANGE;
		f.give.stride = raw_format_row(raw_format_by_name(fake_layout(fourccs[i / 2])), 160) + 64;
		check_scan(&f, &m);
		CHECK_STR(m.info.format, fake_layout(fourccs[i / 2]));
		out = read_jpeg(&m.jpeg, NULL, NULL);
		CHECK(abs(pic_at(&out, 6, 60)[0] - 200) <= 12);
	}
}

TEST(planes_apart_in_memory)
{
	static const uint32_t fourccs[] = {V4L2_PIX_FMT_NV12M, V4L2_PIX_FMT_YUV420M, V4L2_PIX_FMT_YVU420M};

	for (size_t i = 0; i < ARRAY_SIZE(fourccs); i++) {
		struct fake f = fake_mplane_of(fourccs[i]);
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;

		f.give.stride = 192;
		f.bad_frames = 4;
		check_scan(&f, &m);
		CHECK_STR(m.info.format, fake_layout(fourccs[i]));
		CHECK_INT(m.info.grab.bad, 4);
	}
}

/* NV12 costs least; grey is the last; a raw format that is slow at the full size comes after JPEG. */
TEST(among_equals)
{
	_cleanup_pic_ struct pic in = pic_corners(160, 120);
	_cleanup_buf_ struct buf jpeg = {};
	struct fake f = fake_camera();

	make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 1}, &jpeg);
	f.formats[0] = (struct fake_format){.fourcc = V4L2_PIX_FMT_GREY, .sizes = {{160, 120}}};
	f.formats[2] = (struct fake_format){.fourcc = V4L2_PIX_FMT_NV12, .sizes = {{160, 120}}, .interval_ms = 33};
	f.formats[3] = (struct fake_format){.fourcc = V4L2_PIX_FMT_MJPEG, .sizes = {{160, 120}}, .interval_ms = 33};
	for (int slow = 0; slow < 3; slow++) {
		static const char *const want[] = {"nv12", "yuyv", "jpeg"};
		struct fake one = f;
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;

		if (slow >= 1)
			one.formats[2].interval_ms = 1000;
		if (slow >= 2) {
			one.formats[1].interval_ms = 1000;
			one.jpeg = &jpeg;
		}
		check_scan(&one, &m);
		CHECK_STR(m.info.format, want[slow]);
	}
}

/* A scaler offers sizes that the sensor does not have. */
TEST(sizes_in_steps)
{
	static const struct {
		uint32_t crop[2], want[2];
	} cases[] = {{{100, 75}, {100, 72}}, {{8, 8}, {16, 16}}, {{0, 0}, {640, 480}}, {{4000, 3000}, {640, 480}}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake f = fake_camera_of(V4L2_PIX_FMT_NV12);
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;

		f.formats[0].sizes[0][0] = 0;
		memcpy(f.formats[0].stepwise, (uint32_t[]){640, 480, 4}, sizeof(f.formats[0].stepwise));
		f.crop = (struct v4l2_rect){.width = cases[i].crop[0], .height = cases[i].crop[1]};
		check_scan(&f, &m);
		CHECK_INT(m.info.source_width, cases[i].want[0]);
		CHECK_INT(m.info.source_height, cases[i].want[1]);
	}
}

TEST(a_size_beyond_our_limits_is_passed_over)
{
	struct fake f = fake_camera_of(V4L2_PIX_FMT_NV12);
	_cleanup_mem_ struct mem_emit m = MEM_EMIT, n = MEM_EMIT;

	f.formats[0].sizes[1][0] = f.formats[0].sizes[1][1] = 20000;
	check_scan(&f, &m);
	CHECK_INT(m.info.source_width, 160);
	f.formats[0].sizes[1][0] = f.formats[0].sizes[1][1] = 96;
	f.max_pixels = 160 * 120 - 1;
	check_scan(&f, &n);
	CHECK_INT(n.info.source_width, 96);
}

/* A driver that gives more than it was asked for, and one that has nothing smaller to be converted. */
TEST(what_is_given_beyond_our_limits_is_refused)
{
	struct fake f = fake_camera_of(V4L2_PIX_FMT_NV12);

	f.give.width = 320;
	f.max_pixels = 160 * 120;
	fake_rejected(&f, "too-large");
	CHECK_INT(f.opens, 1);
	CHECK_INT(f.frames, 0);
	f = fake_camera_of(V4L2_PIX_FMT_SBGGR8);
	f.max_pixels = 160 * 120 - 1;
	fake_rejected(&f, "too-large");
	CHECK_INT(f.frames, 0);
}

TEST(format_and_size_by_hand)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	f.formats[2] = (struct fake_format){.fourcc = V4L2_PIX_FMT_NV12, .sizes = {{160, 120}}};
	CHECK_INT(fake_scan(&f, "/dev/video2,format=yuyv,size=128x96", &m, &why), 0);
	CHECK_STR(m.info.format, "yuyv");
	CHECK_INT(m.info.source_width, 128);
	CHECK_INT(fake_scan(&f, "/dev/video2,format=grey", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "unsupported");
	CHECK_INT(fake_scan(&f, "/dev/video2,size=128", &m, &why), -EBADMSG);
	CHECK_INT(fake_scan(&f, "/dev/video2,size=0x10", &m, &why), -EBADMSG);
	CHECK_INT(fake_scan(&f, "/dev/video2,colour=red", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "unsupported");
}

TEST(what_the_driver_makes_of_it_is_believed)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	f.give = (struct fake_shape){.width = 96, .height = 72, .fourcc = V4L2_PIX_FMT_NV12, .stride = 128};
	check_scan(&f, &m);
	CHECK_INT(m.info.width, 96);
	CHECK_INT(m.info.height, 72);
	CHECK_STR(m.info.format, "nv12");
}

TEST(what_cannot_be_taken_is_refused)
{
	struct fake f = fake_camera();

	f.give.fourcc = V4L2_PIX_FMT_HSV24;
	fake_rejected(&f, "unsupported");
	f = fake_camera();
	f.give.field = V4L2_FIELD_ALTERNATE;
	fake_rejected(&f, "unsupported");
	f = fake_mplane_of(V4L2_PIX_FMT_NV12M);
	f.give.planes = 1;
	fake_rejected(&f, "unsupported");
	f = fake_mplane_of(V4L2_PIX_FMT_SBGGR8);
	fake_rejected(&f, "unsupported");
	f = fake_camera();
	f.device_caps &= ~(uint32_t)V4L2_CAP_STREAMING;
	fake_rejected(&f, "unsupported");
}

/* Range and matrix are the driver's word, or what the colour space means. */
TEST(range_and_matrix)
{
	static const struct {
		uint32_t colorspace, quantization, encoding;
		int y; /* of luma 200, chroma neutral */
	} cases[] = {{V4L2_COLORSPACE_SMPTE170M, 0, 0, 214}, {V4L2_COLORSPACE_JPEG, 0, 0, 200},
		{V4L2_COLORSPACE_REC709, V4L2_QUANTIZATION_FULL_RANGE, V4L2_YCBCR_ENC_709, 200},
		{V4L2_COLORSPACE_REC709, 0, 0, 214}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake f = fake_camera_of(V4L2_PIX_FMT_NV12);
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		_cleanup_pic_ struct pic out = {};

		f.give = (struct fake_shape){.colorspace = cases[i].colorspace, .quantization = cases[i].quantization,
			.encoding = cases[i].encoding};
		check_scan(&f, &m);
		out = read_jpeg(&m.jpeg, NULL, NULL);
		CHECK(abs(pic_at(&out, 6, 60)[1] - cases[i].y) <= 6);
	}
}

/* Bayer, for one, is left to libv4lconvert. */
TEST(the_last_resort_converts)
{
	struct fake f = fake_camera_of(V4L2_PIX_FMT_SBGGR8);
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_pic_ struct pic out = {};

	check_scan(&f, &m);
	CHECK_INT(m.info.source_width, 160);
	CHECK_INT(m.info.source_height, 120);
	CHECK_STR(m.info.format, "rgb3");
	out = read_jpeg(&m.jpeg, NULL, NULL);
	CHECK(pic_at(&out, 80, 60)[1] > 190);
}

/* The largest that we take of it. */
TEST(what_is_converted_is_within_our_limits)
{
	struct fake f = fake_camera_of(V4L2_PIX_FMT_SBGGR8);
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	f.formats[0].sizes[1][0] = f.formats[0].sizes[1][1] = 96;
	f.max_pixels = 160 * 120 - 1;
	check_scan(&f, &m);
	CHECK_INT(m.info.source_width, 96);
	CHECK_INT(m.info.source_height, 96);
	CHECK_STR(m.info.format, "rgb3");
}

/* ---- the node ------------------------------------------------------------------------------------ */
TEST(auto_finds_the_capture_node)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	CHECK_INT(fake_scan(&f, "auto", &m, &why), 0);
	f = fake_camera();
	f.device_caps &= ~(uint32_t)V4L2_CAP_STREAMING; /* there, and it says why not */
	CHECK_INT(fake_scan(&f, "auto", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "unsupported");
	f = (struct fake){};
	CHECK_INT(fake_scan(&f, "auto", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "no-device");
}

/* The device as a whole can capture, this node cannot: device_caps counts. */
TEST(device_caps_count)
{
	struct fake f = fake_camera();

	f.device_caps = V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING;
	fake_rejected(&f, "no-device");
	f.device_caps = V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING;
	fake_rejected(&f, "no-device");
	f.device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING | V4L2_CAP_TOUCH;
	fake_rejected(&f, "no-device");
}

/* ---- JPEG ---------------------------------------------------------------------------------------- */
static struct fake jpeg_camera(const struct buf *jpeg)
{
	struct fake f = fake_camera_of(V4L2_PIX_FMT_MJPEG);

	f.jpeg = jpeg;
	return f;
}

TEST(mjpeg_with_padding)
{
	_cleanup_pic_ struct pic in = pic_corners(160, 120);
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT, n = MEM_EMIT;
	struct fake f;

	make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 1}, &jpeg);
	CHECK_INT(buf_add(&jpeg, (char[24]){}, 24), 0);
	f = jpeg_camera(&jpeg);
	f.bad_frames = 4;
	check_scan(&f, &m);
	CHECK_STR(m.info.format, "jpeg");
	CHECK_INT(m.info.grab.bad, 4);
	memcpy(jpeg.data + jpeg.len - 26, "\0\0\0\0\0\0\0\0\0\0\0\0\xff\xd9", 14); /* before the end marker too */
	f = jpeg_camera(&jpeg);
	check_scan(&f, &n);
	jpeg.len -= 14; /* now without an end */
	f = jpeg_camera(&jpeg);
	fake_rejected(&f, "truncated");
}

/* As cameras send it: the tables are known and left out. */
TEST(mjpeg_without_huffman_tables)
{
	_cleanup_pic_ struct pic in = pic_corners(160, 120);
	_cleanup_buf_ struct buf jpeg = {}, bare = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_pic_ struct pic out = {};
	unsigned int cut = 0;
	struct fake f;

	make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 1}, &jpeg);
	for (size_t at = 0; at < jpeg.len;) {
		const uint8_t *p = (const uint8_t *)jpeg.data + at;
		size_t len = at == 0 ? 2 : (size_t)2 + p[2] * 256 + p[3];
		bool table = p[1] == 0xc4, data = p[1] == 0xda;

		cut += table;
		if (!table)
			CHECK_INT(buf_add(&bare, p, data ? jpeg.len - at : len), 0);
		if (data)
			break;
		at += len;
	}
	CHECK(cut > 0);
	f = jpeg_camera(&bare);
	check_scan(&f, &m);
	out = read_jpeg(&m.jpeg, NULL, NULL);
	CHECK(near_colour(pic_at(&out, 20, 20), corner_colours[0], 12));
}

static struct buf *scratch;
static void spoil_some(struct fake *f)
{
	/* Bits of the data of two frames of three are wrong: markers and length are right. */
	scratch->data[scratch->len / 2] = (char)(f->frames % 3 ? 0xff : 0);
	scratch->data[scratch->len / 2 + 1] = (char)(f->frames % 3 ? 0xd8 : 0);
}

TEST(mjpeg_that_decodes_with_warnings_is_passed_over)
{
	_cleanup_pic_ struct pic in = pic_page(160, 120, 3);
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct fake f;

	make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 1}, &jpeg);
	memset(jpeg.data + jpeg.len / 2, 0, 2);
	scratch = &jpeg;
	f = jpeg_camera(&jpeg);
	f.on_frame = spoil_some;
	check_scan(&f, &m);
	CHECK(m.info.grab.bad >= 4);
}

/* ---- which frame --------------------------------------------------------------------------------- */
TEST(bad_frames_are_passed_over)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	f.bad_frames = 9;
	check_scan(&f, &m);
	CHECK_INT(m.info.grab.bad, 9);
	CHECK(f.frames >= 12);
}

TEST(endless_errors_end)
{
	struct fake f = fake_camera();

	f.always_bad = true;
	fake_rejected(&f, "truncated"); /* as the last one is */
	CHECK_INT(f.frames, 3 * 30);
	CHECK_INT(f.opens, 3);
}

/* Eight frames get brighter, twelve sharper: the page is one of those after. */
TEST(exposure_and_focus_settle_first)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_pic_ struct pic out = {};

	f.warm_frames = 8;
	check_scan(&f, &m);
	out = read_jpeg(&m.jpeg, NULL, NULL);
	CHECK(pic_at(&out, 6, 5)[0] > 200);
	CHECK(f.frames >= 11 && f.frames <= 16);
	CHECK(m.info.grab.settled);
	f = fake_camera();
	f.focus_frames = 12;
	m.pages = 0;
	check_scan(&f, &m);
	CHECK(f.frames >= 15 && f.frames <= 20);
}

static void flicker(struct fake *f)
{
	f->warm_frames = f->frames + 2 + f->frames % 2 * 40; /* never the same twice */
}

TEST(what_never_settles_is_taken_when_time_is_up)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	f.on_frame = flicker;
	check_scan(&f, &m);
	CHECK(!m.info.grab.settled);
	CHECK(f.now - 1000000 >= 2500 && f.now - 1000000 < 3500);
}

/* Frame 4 settles; of 4, 5 and 6 the fifth is a little sharper. */
TEST(the_sharpest_of_some)
{
	struct fake f = fake_camera_of(V4L2_PIX_FMT_GREY);
	_cleanup_mem_ struct mem_emit m = MEM_EMIT, n = MEM_EMIT;
	_cleanup_pic_ struct pic out = {}, other = {};

	check_scan(&f, &n);
	CHECK_INT(f.frames, 6);
	f = fake_camera_of(V4L2_PIX_FMT_GREY);
	f.sharp_frame = 5;
	check_scan(&f, &m);
	out = read_jpeg(&m.jpeg, NULL, NULL);
	other = read_jpeg(&n.jpeg, NULL, NULL);
	CHECK(pic_at(&out, 1, 50)[0] > pic_at(&other, 1, 50)[0]);
}

/* With two buffers one cannot be held while others come. */
TEST(few_buffers_do)
{
	for (unsigned int n = 1; n <= 3; n++) {
		struct fake f = fake_camera();
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;

		f.buffers = n;
		check_scan(&f, &m);
	}
}

/* A driver says by the count how many it cannot do without, and begins when it has them all. */
TEST(as_many_buffers_as_the_driver_needs)
{
	for (unsigned int n = 5; n <= VIDEO_MAX_FRAME; n += 9) {
		struct fake f = fake_camera();
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;

		f.buffers = n;
		check_scan(&f, &m);
		CHECK_INT(f.mapped, 0);
	}
}

TEST(black_is_no_page)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	f.dark_frames = 20; /* the lamp comes on */
	check_scan(&f, &m);
	CHECK(f.frames >= 24);
	f = fake_camera();
	f.dark_frames = UINT32_MAX;
	fake_rejected(&f, "dark");
	CHECK_INT(f.opens, 1);
}

/* The driver gives the same frame for ever. */
TEST(old_frames_are_no_page)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	f.repeat_from = 2;
	fake_rejected(&f, "io");
	f = fake_camera();
	f.no_times = true; /* it cannot be known, and is no reason to take nothing */
	check_scan(&f, &m);
}

/* A second scan of a device that went on streaming gets no frame of before. */
TEST(frames_of_before_are_passed_over)
{
	for (int known = 0; known < 2; known++) {
		struct fake f = fake_camera();
		struct v4l2_io io = fake_io(&f);
		struct source_options o = SOURCE_OPTIONS_DEFAULT;
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		struct page_source *s = NULL;
		struct reject why;

		f.no_times = !known;
		CHECK_INT(v4l2_open_with(&io, "/dev/video2", &o, &s, &why), 0);
		CHECK_INT(fake_page(s, &m, &why), 0);
		CHECK_INT(m.info.grab.bad, 0);
		s->ops->again(s);
		f.now -= known ? 200 : 0; /* what comes next was taken before */
		CHECK_INT(fake_page(s, &m, &why), 0);
		CHECK_INT(m.pages, 2);
		CHECK(known ? m.info.grab.bad >= 4 : m.info.grab.bad == 4);
		CHECK_INT(f.opens, 1);
		source_close(s);
		CHECK(!f.open);
	}
}

/* ---- controls ------------------------------------------------------------------------------------ */
struct notices {
	unsigned int n;
	char text[512];
};

static void on_notice(void *ud, const char *control, const char *problem)
{
	struct notices *n = ud;
	size_t len = strlen(n->text);

	n->n++;
	str_format(n->text + len, sizeof(n->text) - len, "%s: %s\n", control, problem);
}

static struct fake camera_with_controls(void)
{
	struct fake f = fake_camera();

	f.controls[0] = (struct fake_control){V4L2_CID_EXPOSURE_ABSOLUTE, V4L2_CTRL_TYPE_INTEGER, "Exposure Time, Absolute", 3, 2047, 250, {}, 0};
	f.controls[1] = (struct fake_control){V4L2_CID_POWER_LINE_FREQUENCY, V4L2_CTRL_TYPE_MENU, "Power Line Frequency", 0, 2, 0,
		{"Disabled", "50 Hz", "60 Hz"}, 0};
	f.controls[2] = (struct fake_control){V4L2_CID_AUTO_WHITE_BALANCE, V4L2_CTRL_TYPE_BOOLEAN, "White Balance, Automatic", 0, 1, 1, {}, 0};
	f.controls[3] = (struct fake_control){V4L2_CID_EXPOSURE_AUTO, V4L2_CTRL_TYPE_MENU, "Auto Exposure", 0, 3, 3,
		{NULL, "Manual Mode", NULL, "Aperture Priority Mode"}, 0};
	f.controls[4] = (struct fake_control){V4L2_CID_USER_CLASS, V4L2_CTRL_TYPE_CTRL_CLASS, "User Controls", 0, 0, 0, {}, 0};
	f.controls[5] = (struct fake_control){V4L2_CID_FOCUS_AUTO, V4L2_CTRL_TYPE_BOOLEAN, "Focus, Automatic Continuous", 0, 1, 1, {},
		V4L2_CTRL_FLAG_DISABLED};
	return f;
}

static void set_controls(struct fake *f, const char *controls, struct notices *n)
{
	struct v4l2_io io = fake_io(f);
	struct source_options o = {
		.controls = controls, .notice = on_notice, .notice_ud = n, .limits = IMAGE_LIMITS_DEFAULT};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct page_source *s = NULL;
	struct reject why;

	*n = (struct notices){};
	CHECK_INT(v4l2_open_with(&io, "/dev/video2", &o, &s, &why), 0);
	CHECK_INT(fake_page(s, &m, &why), 0); /* whatever became of the controls */
	source_close(s);
}

TEST(controls_by_name)
{
	struct fake f = camera_with_controls();
	struct notices n;

	set_controls(&f,
		"auto_exposure=manual_mode exposure_time_absolute=100, power_line_frequency=50_hz white_balance_automatic=no", &n);
	CHECK_STR(n.text, "");
	CHECK_INT(f.controls[0].value, 100);
	CHECK_INT(f.controls[1].value, 1);
	CHECK_INT(f.controls[2].value, 0);
	CHECK_INT(f.controls[3].value, 1);
	set_controls(&f, "power_line_frequency=2", &n); /* by number too */
	CHECK_INT(f.controls[1].value, 2);
}

TEST(controls_that_are_none_are_named)
{
	struct fake f = camera_with_controls();
	struct notices n;

	set_controls(&f, "gain=3 user_controls=1 focus_automatic_continuous=no power_line_frequency=70_hz exposure_time_absolute=2 "
			 "white_balance_automatic=perhaps nothing exposure_time_absolute=5",
		&n);
	CHECK_STR(n.text, "gain: the device has no such control\nuser_controls: the device has no such control\n"
			  "focus_automatic_continuous: the device has no such control\npower_line_frequency: there is no such item\n"
			  "exposure_time_absolute: the value is not in its range\nwhite_balance_automatic: expected yes or no\n"
			  "nothing: expected NAME=VALUE\n");
	CHECK_INT(f.controls[0].value, 5);
	f.controls[0].flags = V4L2_CTRL_FLAG_READ_ONLY;
	f.fail_request = VIDIOC_S_EXT_CTRLS;
	f.fail_errno = -EBUSY;
	set_controls(&f, "exposure_time_absolute=7 power_line_frequency=disabled", &n);
	CHECK_INT(n.n, 2);
	CHECK_INT(f.controls[0].value, 5);
}
