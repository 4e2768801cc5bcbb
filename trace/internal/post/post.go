// Package post is how reporters send JSON over HTTP.
package post

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/trace"
)

// Client sends to one server.
type Client struct {
	Base   string // scheme://host:port, and the prefix of a path
	URL    string // where spans go
	Header http.Header
	// Again says whether an answer means to try again; nil: 429 and 5xx.
	Again func(status int) bool

	client         *http.Client
	transport      *http.Transport // ours, or nil
	user, password string
}

// New returns a client for addr, whose spans go to path unless addr has one.
// With a nil client it makes its own.
func New(addr string, port int, path string, client *http.Client, t *tls.Config) (*Client, error) {
	a, err := conn.Parse(addr, conn.Scheme{Name: "http", Port: port}, conn.Scheme{Name: "https", Port: 443})
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	scheme, err := conn.Secure(a, t, "http", "https")
	if err != nil {
		return nil, err
	}
	c := &Client{client: client, Header: http.Header{}, user: a.User, password: a.Password}
	if client == nil {
		c.transport = http.DefaultTransport.(*http.Transport).Clone()
		c.transport.TLSClientConfig = t
		c.client = &http.Client{Transport: c.transport, CheckRedirect: conn.SameOrigin}
	}
	c.Base = scheme + "://" + a.HostPort()
	c.URL = c.Base + path
	if own := strings.TrimSuffix(a.Path, "/"); own != "" {
		c.URL = c.Base + "/" + own
		c.Base = strings.TrimSuffix(c.URL, path)
	}
	return c, nil
}

// compressFrom is the size from which compressing is worth its time.
const compressFrom = 1 << 10

// Post sends body to URL and returns the answer.
func (c *Client) Post(ctx context.Context, body []byte) ([]byte, error) {
	packed := len(body) >= compressFrom
	if packed {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		_, _ = z.Write(body)
		_ = z.Close()
		body = b.Bytes()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if packed {
		req.Header.Set("Content-Encoding", "gzip")
	}
	return c.do(req, 1<<16)
}

// Get asks for a path below Base. The answer is at most limit bytes.
func (c *Client) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base+path, nil)
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	return c.do(req, limit)
}

// do sends a request and turns all answers but 2xx into errors.
func (c *Client) do(req *http.Request, limit int64) ([]byte, error) {
	for k, v := range c.Header {
		req.Header[k] = v
	}
	if c.user != "" {
		req.SetBasicAuth(c.user, c.password)
	}
	req.Header.Set("B3", "0") // reporting is no part of a trace
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, fault.Mark(fault.Unavailable, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if resp.StatusCode/100 == 2 {
		switch {
		case err != nil:
			return nil, fault.Mark(fault.Unavailable, err)
		case int64(len(answer)) > limit:
			return nil, fault.Mark(fault.TooLarge, errors.New("the answer is over the limit"))
		}
		return answer, nil
	}
	err = fmt.Errorf("%s %s: %s: %s", req.Method, conn.Redact(req.URL.String()), resp.Status, bytes.TrimSpace(answer[:min(len(answer), 512)]))
	again := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500
	if c.Again != nil {
		again = c.Again(resp.StatusCode)
	}
	switch {
	case again:
		return nil, trace.WithRetryAfter(fault.Mark(fault.Unavailable, err), retryAfter(resp.Header.Get("Retry-After")))
	case resp.StatusCode == http.StatusNotFound:
		return nil, fault.Mark(fault.NotFound, err)
	}
	return nil, fault.Mark(fault.Invalid, err)
}

// Close closes the connections of a client that is ours.
func (c *Client) Close() error {
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
	return nil
}

// retryAfter reads seconds or a date.
func retryAfter(s string) time.Duration {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}
