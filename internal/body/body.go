// Package body bounds what a handler reads of a request.
package body

import (
	"net/http"
	"time"
)

// Bound makes r.Body fail with *http.MaxBytesError after most bytes, and with a
// timeout when it is not there within that time: a sender that trickles holds a
// goroutine no longer. A shorter ReadTimeout of the server stays. Call read once
// the body is read, else the end of that time cancels the request; but not when
// reading failed, since the server looks for the rest before it answers.
func Bound(w http.ResponseWriter, r *http.Request, most int64, within time.Duration) (read func()) {
	r.Body = http.MaxBytesReader(w, r.Body, most)
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server != nil && server.ReadTimeout > 0 && server.ReadTimeout <= within {
		return func() {}
	}
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(within)) // fails without a connection, or for a writer that hides it
	return func() { _ = c.SetReadDeadline(time.Time{}) }
}
