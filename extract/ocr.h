/* The extractor for the OCR helper: question = the page's bytes to `pageferry-ocr`, reply = words, answer = fields by
 * labels and layout (extract/ocrmap.h). */
#pragma once

#include "extract/extractor.h"

struct ocr_config {
	char language[32];   /* Tesseract language, "eng" */
	int64_t timeout_ms;  /* one page */
	int64_t max_pixels;  /* larger pages are refused by the helper */
};

extern const struct extractor_ops ocr_extractor;
