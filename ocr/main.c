/* pageferry-ocr: one page in, its words out. As a helper on standard input and output, or by hand on a file.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/text.h"
#include "ocr/limits.h"
#include "ocr/serve.h"

static const char usage[] = "Usage: pageferry-ocr [OPTION...] [FILE]\n"
			    "Reads a JPEG page with Tesseract. Without FILE: one request on standard input, "
			    "frames on standard output\n"
			    "(docs/architecture.md, \"Helper framing\"). With FILE: its words as JSON.\n\n"
			    "  -l, --language=NAME   Tesseract language, several with + (eng)\n"
			    "  -t, --text            lines of text instead of JSON\n"
			    "      --tessdata=DIR    folder of the language data (the library's own)\n"
			    "  -h, --help            this text\n"
			    "      --version\n";

static const struct option options[] = {
	{"language", required_argument, NULL, 'l'},
	{"text", no_argument, NULL, 't'},
	{"tessdata", required_argument, NULL, 'd'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'v'},
	{},
};

static int by_hand(const char *file, const struct tess_options *o, bool text)
{
	_cleanup_(page_words_free) struct page_words w = {};
	_cleanup_buf_ struct buf out = {};
	_cleanup_buf_ struct buf jpeg = {.max = SERVE_JPEG_MAX};
	struct ocr_fail fail = {};
	struct grey size;
	char shown[256];
	int r;

	text_safe_copy(shown, sizeof(shown), file); /* a shell's * takes names of files as they are */
	r = file_read(AT_FDCWD, file, SERVE_JPEG_MAX, &jpeg);
	if (r < 0) {
		fprintf(stderr, "pageferry-ocr: %s: %s\n", shown, errno_text(r));
		return 1;
	}
	r = serve_page(o, &jpeg, GREY_PIXELS_MAX, &size, &w, &fail);
	if (r < 0) {
		fprintf(stderr, "pageferry-ocr: %s: %s: %s\n", shown, fail.reason, fail.message);
		return 1;
	}
	r = text ? page_words_text(&w, &out) : page_words_json(&w, &out);
	if (r < 0)
		return 1;
	if (text)
		printf("%s\n", buf_str(&out));
	else
		printf("{\"width\":%d,\"height\":%d,\"words\":%s}\n", size.width, size.height, buf_str(&out));
	return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct tess_options o = {.language = "eng", .cancel_fd = -1};
	bool text = false;
	int c, r;

	limits_single_thread(argv);
	while ((c = getopt_long(argc, argv, "l:th", options, NULL)) >= 0) {
		switch (c) {
		case 'l':
			o.language = optarg;
			break;
		case 't':
			text = true;
			break;
		case 'd':
			o.data = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'v':
			puts("pageferry-ocr " PAGEFERRY_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if (argc - optind > 1) {
		fputs(usage, stderr);
		return 2;
	}
	r = limits_set();
	if (r < 0)
		log_warning("cannot limit memory and time: %s", errno_text(r));
	signal(SIGPIPE, SIG_IGN);
	return optind < argc ? by_hand(argv[optind], &o, text) : serve(STDIN_FILENO, STDOUT_FILENO, o.data);
}
