// Package post is what reporters have in common that send over HTTP: the server,
// its credentials and connections, compression, and when it wants to be asked
// again. What answers mean is each protocol's own.
package post

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// Server is where requests go. It is safe for concurrent use.
type Server struct {
	conn.Address        // whose user and password each request has
	Base         string // scheme://host:port

	client    *http.Client
	transport *http.Transport // ours, or nil
}

// Open returns the server at addr, a "host:port" or a URL. With a nil client it
// makes its own. It connects to nothing.
func Open(addr string, port int, client *http.Client, t *tls.Config) (*Server, error) {
	if client != nil && t != nil {
		return nil, fault.Markf(fault.Invalid, "TLS beside a client of your own, which has its own")
	}
	a, err := conn.Parse(addr, conn.Scheme{Name: "http", Port: port}, conn.Scheme{Name: "https", Port: 443})
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	scheme, err := conn.Secure(a, t, "http", "https")
	if err != nil {
		return nil, err
	}
	s := &Server{Address: a, Base: scheme + "://" + a.HostPort(), client: client}
	if client == nil {
		s.transport = http.DefaultTransport.(*http.Transport).Clone()
		s.transport.TLSClientConfig = t
		s.client = &http.Client{Transport: s.transport, CheckRedirect: conn.SameOrigin}
	}
	return s, nil
}

// Do sends a request with the credentials of the address. An error is
// Unavailable: there is no answer.
func (s *Server) Do(req *http.Request) (*http.Response, error) {
	if s.User != "" {
		req.SetBasicAuth(s.User, s.Password)
	}
	req.Header.Set("B3", "0") // reporting is no part of a trace
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fault.Mark(fault.Unavailable, err)
	}
	return resp, nil
}

// Close closes the connections of a client that is ours.
func (s *Server) Close() error {
	if s.transport != nil {
		s.transport.CloseIdleConnections()
	}
	return nil
}

// packFrom is the size from which compressing is worth its time.
const packFrom = 1 << 10

var zippers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return z
}}

// Pack compresses body by gzip if it is worth that, and reports whether it has.
func Pack(body []byte) ([]byte, bool) {
	if len(body) < packFrom {
		return body, false
	}
	var b bytes.Buffer
	b.Grow(len(body) / 4)
	z := zippers.Get().(*gzip.Writer)
	z.Reset(&b)
	_, _ = z.Write(body) // into memory
	_ = z.Close()
	zippers.Put(z)
	return b.Bytes(), true
}

// RetryAfter reads a Retry-After header, in seconds or as a date (RFC 9110
// section 10.2.3). It is 0 without one, and at most Longest.
func RetryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	n, err := strconv.ParseInt(v, 10, 64)
	if err == nil {
		return time.Duration(min(max(0, n), int64(Longest/time.Second))) * time.Second
	}
	t, err := http.ParseTime(v)
	if err == nil {
		return min(max(0, time.Until(t)), Longest)
	}
	return 0
}

// Longest bounds the pause that a server can ask for: what a proxy wrote by
// mistake must not silence a process until it is restarted.
const Longest = 5 * time.Minute
