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

// Handler serves m to scrapers. It answers GET and HEAD, compresses for those
// that take gzip, makes one page at a time, and gives a scraper 30 s to read it.
func Handler(m metrics.Metrics) http.Handler { return &handler{m: m} }

const writeTime = 30 * time.Second

type handler struct {
	m  metrics.Metrics
	mu sync.Mutex // one scrape at a time: more at once cost memory and bring nothing
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	kind, page := h.page(acceptsOpenMetrics(r.Header.Values("Accept")))
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

func (h *handler) page(open bool) (kind string, page []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	snap := h.m.Snapshot()
	if open {
		return OpenMetricsType, AppendOpenMetrics(nil, &snap)
	}
	return TextType, AppendText(nil, &snap)
}

// acceptsOpenMetrics reports whether the scraper names OpenMetrics with a
// weight that is not below that of plain text.
func acceptsOpenMetrics(accept []string) bool {
	open, text := 0.0, 0.0
	for part := range each(accept) {
		kind, q := weight(part)
		switch kind {
		case "application/openmetrics-text":
			open = max(open, q)
		case "text/plain", "text/*", "*/*":
			text = max(text, q)
		}
	}
	return open > 0 && open >= text
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
