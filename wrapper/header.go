package wrapper

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Headers that calls carry, in canonical form.
const (
	HeaderRequestID = "X-Request-Id"  // the identity of a request over all its hops
	HeaderDeadline  = "X-Deadline-Ms" // time that remains, in milliseconds
	HeaderAttempt   = "X-Attempt"     // 2 and more: it was sent before
	HeaderLoad      = "X-Load"        // a server's report: inflight=12;util=0.63;latency=8.1, the last in milliseconds
	HeaderNoRetry   = "X-No-Retry"    // the server has spent its own retries
	LabelPrefix     = "X-Micro-Label-"
)

// carried is the header of a request that goes out, with room for the values
// that all of them get.
type carried struct {
	http.Header
	used int
	room [4][1]string
}

// Set replaces the values of a header.
func (c *carried) Set(key, value string) {
	if c.used == len(c.room) {
		c.Header.Set(key, value)
		return
	}
	v := c.room[c.used][:]
	c.used++
	v[0] = value
	c.Header[http.CanonicalHeaderKey(key)] = v
}

// maxID bounds a request id that came from outside.
const maxID = 128

// requestID returns the caller's id if it is a sane one, else a new one.
func requestID(given string) string {
	if given == "" || len(given) > maxID || strings.ContainsFunc(given, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return newRequestID()
	}
	return given
}

func newRequestID() string {
	var raw [16]byte
	var text [32]byte
	binary.LittleEndian.PutUint64(raw[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(raw[8:], rand.Uint64())
	hex.Encode(text[:], raw[:])
	return string(text[:])
}

// remaining reads X-Deadline-Ms. Nonsense is no deadline.
func remaining(v string) (time.Duration, bool) {
	if v == "" || len(v) > 12 {
		return 0, false
	}
	ms, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		return 0, false
	}
	return time.Duration(ms) * time.Millisecond, true
}

type labelsKey struct{}

// ContextWithLabels returns a context whose outgoing calls go to instances that
// carry the labels, and hand them on. They are added to those in ctx.
func ContextWithLabels(ctx context.Context, labels map[string]string) context.Context {
	if len(labels) == 0 {
		return ctx
	}
	all := maps.Clone(LabelsFromContext(ctx))
	if all == nil {
		all = map[string]string{}
	}
	for k, v := range labels {
		all[strings.ToLower(k)] = v
	}
	return context.WithValue(ctx, labelsKey{}, all)
}

// LabelsFromContext returns the labels that outgoing calls get. The map must
// not be changed.
func LabelsFromContext(ctx context.Context) map[string]string {
	m, _ := ctx.Value(labelsKey{}).(map[string]string)
	return m
}

// What a caller can make every hop carry: so many labels, and the bytes of the
// name and of the value of each. A label that is larger, or has
// a control character, is dropped whole: half a value could choose other instances.
const (
	maxLabels     = 16
	maxLabelName  = 63
	maxLabelValue = 255
)

// labelsOf reads the X-Micro-Label- headers.
func labelsOf(header map[string][]string) (out map[string]string) {
	for k, v := range header {
		if len(v) > 0 {
			out = addLabel(out, k, v[0])
		}
	}
	return out
}

// addLabel adds the label that a header, named in whatever case, stands for.
func addLabel(to map[string]string, name, value string) map[string]string {
	if len(name) <= len(LabelPrefix) || !strings.EqualFold(name[:len(LabelPrefix)], LabelPrefix) || len(to) >= maxLabels {
		return to
	}
	if len(name) > len(LabelPrefix)+maxLabelName || len(value) > maxLabelValue || strings.ContainsFunc(value, unicode.IsControl) {
		return to
	}
	if to == nil {
		to = map[string]string{}
	}
	to[strings.ToLower(name[len(LabelPrefix):])] = value
	return to
}

// retryAfter reads a Retry-After header, in seconds or as a date.
func retryAfter(h http.Header) (time.Duration, bool) {
	v := h.Get("Retry-After")
	if v == "" {
		return 0, false
	}
	if s, err := strconv.ParseInt(v, 10, 32); err == nil {
		return time.Duration(max(s, 0)) * time.Second, true
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(time.Until(t), 0), true
	}
	return 0, false
}
