package zipkin

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/trace"
	"github.com/openzipkin/zipkin-go/model"
)

// Option configures Backend.
type Option func(*options) error

type options struct {
	client *http.Client
	tls    *tls.Config
	header http.Header
}

// WithClient uses c, which Close leaves as it is.
func WithClient(c *http.Client) Option {
	return func(o *options) error {
		if c == nil {
			return fault.Markf(fault.Invalid, "nil client")
		}
		o.client = c
		return nil
	}
}

// WithTLS sets how an https address is connected to.
func WithTLS(c *tls.Config) Option {
	return func(o *options) error { o.tls = c; return nil }
}

// WithHeader adds a header to every request, such as a token.
func WithHeader(key, value string) Option {
	return func(o *options) error { o.header.Add(key, value); return nil }
}

// spansPath is where Zipkin takes spans.
const spansPath = "/api/v2/spans"

// Backend reports to the server at addr: "host:port" or a URL.
func Backend(addr string, opts ...Option) trace.Option {
	return trace.WithDriver("zipkin", func(context.Context) (trace.Driver, error) {
		o := options{header: http.Header{}}
		for _, opt := range opts {
			if opt == nil {
				return nil, fault.Markf(fault.Invalid, "nil option")
			}
			if err := opt(&o); err != nil {
				return nil, err
			}
		}
		a, err := conn.Parse(addr, conn.Scheme{Name: "http", Port: 9411}, conn.Scheme{Name: "https", Port: 443})
		if err != nil {
			return nil, fault.Mark(fault.Invalid, err)
		}
		d := &driver{client: o.client, header: o.header, user: a.User, password: a.Password}
		if d.client == nil {
			d.transport = http.DefaultTransport.(*http.Transport).Clone()
			d.transport.TLSClientConfig = o.tls
			d.client = &http.Client{Transport: d.transport}
		}
		scheme := "http"
		if a.Scheme != "" {
			scheme = a.Scheme
		}
		d.base = scheme + "://" + a.HostPort()
		d.url = d.base + spansPath
		if path := strings.TrimSuffix(a.Path, "/"); path != "" {
			d.url = d.base + "/" + path
			d.base = strings.TrimSuffix(d.url, spansPath)
		}
		return d, nil
	})
}

type driver struct {
	client         *http.Client
	transport      *http.Transport // ours, or nil
	header         http.Header
	base, url      string
	user, password string
}

func (d *driver) Report(ctx context.Context, spans []trace.SpanData) (int, error) {
	models := make([]model.SpanModel, len(spans))
	for i := range spans {
		models[i] = toModel(&spans[i])
	}
	body, err := json.Marshal(models)
	if err != nil {
		return 0, fault.Mark(fault.Invalid, err)
	}
	if err := d.post(ctx, body); err != nil {
		return 0, err
	}
	return len(spans), nil
}

// Ping posts no spans, which every receiver takes.
func (d *driver) Ping(ctx context.Context) error { return d.post(ctx, []byte("[]")) }

func (d *driver) Close() error {
	if d.transport != nil {
		d.transport.CloseIdleConnections()
	}
	return nil
}

// compressFrom is the size from which compressing is worth its time.
const compressFrom = 1 << 10

func (d *driver) post(ctx context.Context, body []byte) error {
	packed := len(body) >= compressFrom
	if packed {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		_, _ = z.Write(body)
		_ = z.Close()
		body = b.Bytes()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return fault.Mark(fault.Invalid, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if packed {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := d.do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	return resp.Body.Close()
}

// do sends a request and turns all answers but 2xx into errors.
func (d *driver) do(req *http.Request) (*http.Response, error) {
	for k, v := range d.header {
		req.Header[k] = v
	}
	if d.user != "" {
		req.SetBasicAuth(d.user, d.password)
	}
	req.Header.Set("B3", "0") // reporting is no part of a trace
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, fault.Mark(fault.Unavailable, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	_ = resp.Body.Close()
	err = fmt.Errorf("%s %s: %s: %s", req.Method, conn.Redact(req.URL.String()), resp.Status, bytes.TrimSpace(text))
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return nil, fault.Mark(fault.NotFound, err)
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		return nil, trace.WithRetryAfter(fault.Mark(fault.Unavailable, err), retryAfter(resp.Header.Get("Retry-After")))
	}
	return nil, fault.Mark(fault.Invalid, err)
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
