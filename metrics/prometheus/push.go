package prometheus

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/post"
	"github.com/micro/go-platform/metrics"
)

// Option configures Backend.
type Option func(*pushOptions) error

type pushOptions struct {
	client   *http.Client
	tls      *tls.Config
	user     string
	password string
	group    []metrics.Label
	remove   bool
}

// WithClient uses c, which Close leaves as it is.
func WithClient(c *http.Client) Option {
	return func(o *pushOptions) error {
		if c == nil {
			return fault.Markf(fault.Invalid, "nil client")
		}
		o.client = c
		return nil
	}
}

// WithTLS connects with TLS, also to an address without a scheme. With an
// address that says http, or a client of your own, it is an error.
func WithTLS(c *tls.Config) Option {
	return func(o *pushOptions) error { return conn.SetTLS(&o.tls, c) }
}

// WithAuth sends a user name and a password.
func WithAuth(user, password string) Option {
	return func(o *pushOptions) error { return conn.SetAuth(&o.user, &o.password, user, password) }
}

// WithGroup adds labels to the group that is pushed, such as instance.
func WithGroup(labels ...metrics.Label) Option {
	return func(o *pushOptions) error {
		for _, l := range labels {
			if l.Key == "" || l.Key == "job" {
				return fault.Markf(fault.Invalid, "group label %q", l.Key)
			}
		}
		o.group = append(o.group, labels...)
		return nil
	}
}

// WithDelete deletes the group from the gateway at Close, instead of leaving
// the last values there indefinitely.
func WithDelete() Option {
	return func(o *pushOptions) error { o.remove = true; return nil }
}

// Backend pushes to the push gateway at addr ("host:port" or a URL), replacing
// the group of job. It is for jobs that end before anyone scrapes them.
func Backend(addr, job string, opts ...Option) metrics.Option {
	return metrics.WithDriver("prometheus", func(context.Context) (metrics.Driver, error) {
		var o pushOptions
		if err := fronts.Apply(&o, opts); err != nil {
			return nil, err
		}
		server, err := post.Open(addr, 9091, o.client, o.tls)
		if err != nil {
			return nil, err
		}
		err = server.CheckAuth()
		if err != nil {
			return nil, fault.Markf(fault.Invalid, "address %q: %w", conn.Redact(addr), err)
		}
		if job == "" {
			return nil, fault.Markf(fault.Invalid, "push to %s without a job", server.Address)
		}
		if o.user != "" {
			server.User, server.Password = o.user, o.password
		}
		p := &pusher{server: server, base: server.Base, remove: o.remove}
		if path := strings.Trim(server.Path, "/"); path != "" {
			p.base += "/" + path
		}
		p.url = p.base + "/metrics/" + segment("job", job)
		for _, l := range o.group {
			p.url += "/" + segment(l.Key, l.Value)
		}
		return p, nil
	})
}

// segment is key/value of the gateway's path; what a path can't carry is in base64.
func segment(key, value string) string {
	if value == "" || strings.Contains(value, "/") {
		v := base64.RawURLEncoding.EncodeToString([]byte(value))
		if v == "" {
			v = "="
		}
		return url.PathEscape(key) + "@base64/" + v
	}
	return url.PathEscape(key) + "/" + url.PathEscape(value)
}

// closeTimeout bounds the request that deletes the group.
const closeTimeout = 2 * time.Second

type pusher struct {
	server    *post.Server
	base, url string
	remove    bool
}

func (p *pusher) do(ctx context.Context, method, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return fault.Mark(fault.Invalid, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", TextType)
	}
	resp, err := p.server.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	switch {
	case resp.StatusCode < 300:
		return nil
	case resp.StatusCode >= 500:
		return fault.Markf(fault.Unavailable, "%s %s: %s", method, url, resp.Status)
	}
	return fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, bytes.TrimSpace(text))
}

func (p *pusher) Export(ctx context.Context, s *metrics.Snapshot) (metrics.Sent, error) {
	page := AppendText(nil, s)
	if err := p.do(ctx, http.MethodPut, p.url, page); err != nil {
		return metrics.Sent{Dropped: 1}, err
	}
	return metrics.Sent{Packets: 1, Bytes: uint64(len(page))}, nil
}

func (p *pusher) Ping(ctx context.Context) error {
	return p.do(ctx, http.MethodGet, p.base+"/-/ready", nil)
}

func (p *pusher) Close() error {
	defer p.server.Close()
	if !p.remove {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return p.do(ctx, http.MethodDelete, p.url, nil)
}
