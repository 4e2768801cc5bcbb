package page

import (
	"compress/gzip"
	"net/http"

	"github.com/micro/go-platform/internal/accept"
)

// shortest is the body that is worth compressing: below, it fits into a packet.
const shortest = 1400

// send answers with a body, compressed for whoever takes gzip: a cluster of fifty
// services is half a megabyte every two seconds without, a tenth with it. What
// strangers write stands beside no secret in it, so its length tells nothing.
func send(w http.ResponseWriter, r *http.Request, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Add("Vary", "Accept-Encoding")
	if len(body) < shortest || !accept.Gzip(r.Header.Values("Accept-Encoding")) {
		w.Write(body)
		return
	}
	h.Set("Content-Encoding", "gzip")
	z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // a level that there is
	z.Write(body)
	z.Close()
}
