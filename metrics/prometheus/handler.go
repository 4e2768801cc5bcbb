package prometheus

import (
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/accept"
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
	if accept.Gzip(r.Header.Values("Accept-Encoding")) {
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
func preferred(lines []string) string {
	var proto, open, text float64
	for part, q := range accept.Parts(lines) {
		kind, _, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
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
