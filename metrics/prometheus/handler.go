package prometheus

import (
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/metrics"
)

// Handler serves m to scrapers, in the format that they prefer: text, OpenMetrics
// or protobuf. It answers GET and HEAD, compresses for those that take gzip,
// makes one page at a time, and gives a scraper 30 s to read it.
func Handler(m metrics.Metrics) http.Handler { return &handler{m: m, memo: memo{}} }

const writeTime = 30 * time.Second

type handler struct {
	m    metrics.Metrics
	mu   sync.Mutex // one scrape at a time: more at once cost memory and bring nothing
	memo memo
	size int // of the page before
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	kind, page := h.page(preferred(r.Header.Values("Accept")))
	// A scraper that reads no further must not keep its page indefinitely.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	w.Header().Set("Content-Type", kind)
	w.Header().Add("Vary", "Accept, Accept-Encoding")
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		w.Header().Set("Content-Encoding", "gzip")
		if r.Method == http.MethodHead {
			return
		}
		z := gzip.NewWriter(w)
		_, _ = z.Write(page)
		_ = z.Close()
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(page)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(page)
	}
}

func (h *handler) page(kind string) (_ string, page []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	snap := h.m.Snapshot()
	page = make([]byte, 0, h.size+h.size/8)
	if kind == ProtobufType {
		page = AppendProtobuf(page, &snap)
	} else {
		page = appendText(page, &snap, h.memo, kind == OpenMetricsType)
	}
	h.size = len(page)
	return kind, page
}

// preferred returns the content type of the format that a scraper gives the
// highest weight. Among equals it is the one that carries the most.
func preferred(accept []string) string {
	var proto, open, text float64
	for part := range each(accept) {
		kind, q := weight(part)
		switch kind {
		case "application/vnd.google.protobuf":
			if param(part, "proto") == "io.prometheus.client.MetricFamily" && param(part, "encoding") == "delimited" {
				proto = max(proto, q)
			}
		case "application/openmetrics-text":
			open = max(open, q)
		case "text/plain", "text/*", "*/*":
			text = max(text, q)
		}
	}
	switch {
	case proto > 0 && proto >= open && proto >= text:
		return ProtobufType
	case open > 0 && open >= text:
		return OpenMetricsType
	}
	return TextType
}

// param returns a parameter of a media type.
func param(part, name string) string {
	_, params, _ := strings.Cut(part, ";")
	for p := range strings.SplitSeq(params, ";") {
		if k, v, ok := strings.Cut(strings.TrimSpace(p), "="); ok && strings.EqualFold(k, name) {
			return strings.Trim(v, `"`)
		}
	}
	return ""
}

func acceptsGzip(accept []string) bool {
	for part := range each(accept) {
		if coding, q := weight(part); (coding == "gzip" || coding == "*") && q > 0 {
			return true
		}
	}
	return false
}

// each yields the comma separated parts of a header's lines.
func each(lines []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for part := range strings.SplitSeq(line, ",") {
				if !yield(part) {
					return
				}
			}
		}
	}
}

// weight splits "name;a=b;q=0.5" into name and 0.5.
func weight(part string) (name string, q float64) {
	name, params, _ := strings.Cut(part, ";")
	q = 1
	for p := range strings.SplitSeq(params, ";") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil || f < 0 || f > 1 {
				f = 0
			}
			q = f
		}
	}
	return strings.ToLower(strings.TrimSpace(name)), q
}
