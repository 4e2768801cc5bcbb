package wrapper

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/micro/go-platform/router"
)

// Protocols over HTTP that answer 200 whatever happened: their own status
// decides the class. See the gRPC, gRPC-Web and Connect protocols.
const (
	plainHTTP     = iota
	grpcHTTP      // the status is in the trailers, or the headers
	grpcWeb       // and in the last frame of the body
	connectStream // in the last frame of the body, as JSON
)

// bodyStatus finds the status of such an answer.
type bodyStatus struct {
	kind   uint8
	answer *http.Response // of a client, whose trailers are known at the end of the body
	frames frames
}

// begin looks at an answer's headers. ok is true if they decide.
func (s *bodyStatus) begin(h http.Header, status int) (class router.Class, ok bool) {
	t := h["Content-Type"]
	if status != http.StatusOK || len(t) == 0 || !strings.HasPrefix(t[0], "application/") {
		return router.OK, false
	}
	switch v := t[0][len("application/"):]; {
	case strings.HasPrefix(v, "grpc-web-text"): // base64: its headers alone are read
		s.kind = grpcHTTP
	case strings.HasPrefix(v, "grpc-web"):
		s.kind = grpcWeb
	case strings.HasPrefix(v, "grpc"):
		s.kind = grpcHTTP
	case strings.HasPrefix(v, "connect+"):
		s.kind = connectStream
		return router.OK, false
	default:
		return router.OK, false
	}
	return statusIn(h)
}

// write looks at a part of the body.
func (s *bodyStatus) write(p []byte) {
	switch s.kind {
	case grpcWeb:
		s.frames.write(p, 0x80)
	case connectStream:
		s.frames.write(p, 0x02)
	}
}

// end looks at what came last. ok is false if nothing was said.
func (s *bodyStatus) end() (class router.Class, ok bool) {
	switch s.kind {
	case grpcHTTP:
		if s.answer != nil {
			return statusIn(s.answer.Trailer)
		}
	case grpcWeb:
		return statusIn(s.frames.webTrailer())
	case connectStream:
		return s.frames.connectEnd()
	}
	return router.OK, false
}

// served is end for the side that answers: h is all that the handler set.
func (s *bodyStatus) served(h http.Header) (class router.Class, ok bool) {
	if s.kind == grpcHTTP || s.kind == grpcWeb {
		if class, ok := statusIn(h); ok {
			return class, true
		}
	}
	return s.end()
}

// statusIn reads grpc-status.
func statusIn(h http.Header) (class router.Class, ok bool) {
	for _, name := range []string{"Grpc-Status", http.TrailerPrefix + "Grpc-Status"} {
		if v := h[name]; len(v) > 0 {
			code, err := strconv.ParseUint(v[0], 10, 32)
			if err != nil {
				return router.ServerError, true
			}
			return ClassOfCode(uint32(code)), true
		}
	}
	return router.OK, false
}

// ClassOfCode is the class of a status code of gRPC that a server answered
// with. That it is unavailable, or has no room, is Overload: it was reached.
func ClassOfCode(code uint32) router.Class {
	switch code {
	case 0:
		return router.OK
	case 1: // cancelled
		return router.Cancelled
	case 4: // deadline exceeded
		return router.Timeout
	case 8, 14: // resource exhausted, unavailable
		return router.Overload
	case 2, 12, 13, 15: // unknown, unimplemented, internal, data loss
		return router.ServerError
	}
	if code > 16 {
		return router.ServerError
	}
	return router.ClientError
}

// frames walks over the frames of a body (one byte of flags, four of length)
// and keeps the last one, that carries the end of the stream.
type frames struct {
	head [5]byte
	have int    // bytes of head
	left uint32 // of the payload
	last bool
	end  []byte
}

// maxEnd bounds what is kept of the end of a stream.
const maxEnd = 16 << 10

func (f *frames) write(p []byte, end byte) {
	for len(p) > 0 {
		if f.have < len(f.head) {
			n := copy(f.head[f.have:], p)
			f.have += n
			p = p[n:]
			if f.have < len(f.head) {
				return
			}
			f.left, f.last = binary.BigEndian.Uint32(f.head[1:]), f.head[0]&end != 0
		}
		n := int(min(uint64(len(p)), uint64(f.left))) // as an int a length may be negative
		if f.last && len(f.end)+n <= maxEnd {
			f.end = append(f.end, p[:n]...)
		}
		p = p[n:]
		f.left -= uint32(n)
		if f.left == 0 {
			f.have = 0
		}
	}
}

// payload is that of the last frame, nil if there was none.
func (f *frames) payload() []byte {
	if !f.last || f.head[0]&1 == 0 {
		return f.end
	}
	z, err := gzip.NewReader(bytes.NewReader(f.end))
	if err != nil {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(z, maxEnd))
	return b
}

// webTrailer reads the trailers of gRPC-Web.
func (f *frames) webTrailer() http.Header {
	h := http.Header{}
	for line := range strings.Lines(string(f.payload())) {
		if k, v, ok := strings.Cut(line, ":"); ok {
			h.Set(strings.TrimSpace(k), strings.TrimSpace(v))
		}
	}
	return h
}

// connectEnd reads Connect's end of a stream.
func (f *frames) connectEnd() (class router.Class, ok bool) {
	b := f.payload()
	if len(b) == 0 {
		return router.OK, false
	}
	var end struct {
		Error *struct{ Code string }
	}
	if json.Unmarshal(b, &end) != nil {
		return router.ServerError, true
	}
	if end.Error == nil {
		return router.OK, true
	}
	return ClassOfCode(connectCode(end.Error.Code)), true
}

// connectCodes are the codes of gRPC as Connect spells them, by their numbers.
var connectCodes = []string{
	"", "canceled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists", "permission_denied",
	"resource_exhausted", "failed_precondition", "aborted", "out_of_range", "unimplemented", "internal", "unavailable", "data_loss",
	"unauthenticated",
}

// connectCode is the number of a code.
func connectCode(name string) uint32 {
	i := slices.Index(connectCodes, name)
	if i < 0 {
		return 2
	}
	return uint32(i)
}
