package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures Backend.
type Option func(*driver) error

// WithClient sends requests through the caller's client, which must not have a
// timeout: a stream has no end. Close leaves it alone.
func WithClient(c *http.Client) Option {
	return func(d *driver) error {
		if c == nil {
			return errors.New("nil client")
		}
		d.client = c
		return nil
	}
}

// WithTLS sets how https addresses are verified. With an address that says http
// it is an error.
func WithTLS(c *tls.Config) Option {
	return func(d *driver) error { return conn.SetTLS(&d.own.TLSClientConfig, c) }
}

// WithHeader adds a header to every request, for instance Authorization.
func WithHeader(name, value string) Option {
	return func(d *driver) error { return conn.AddHeader(&d.header, name, value) }
}

// Backend makes discovery.New read from the relay at a URL, http or https, or
// from the first of several, with commas between, that answers.
func Backend(address string, opts ...Option) discovery.Option {
	return discovery.WithDriver("relay", func(context.Context) (discovery.Driver, error) {
		d := &driver{header: http.Header{}, own: &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: 90 * time.Second}}
		for part := range strings.SplitSeq(address, ",") {
			u, err := url.Parse(part)
			if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				return nil, fmt.Errorf("address %q, want http://host:port", conn.Redact(part))
			}
			d.bases = append(d.bases, strings.TrimSuffix(part, "/"))
		}
		d.client = &http.Client{Transport: d.own, CheckRedirect: conn.SameOrigin}
		if err := fronts.Apply(d, opts); err != nil {
			return nil, err
		}
		for _, b := range d.bases {
			if d.own.TLSClientConfig != nil && !strings.HasPrefix(strings.ToLower(b), "https:") {
				return nil, fmt.Errorf("TLS is configured, but the address %s is not https", conn.Redact(b))
			}
		}
		return d, nil
	})
}

// driver implements discovery.Driver.
type driver struct {
	bases   []string
	current atomic.Uint32 // the relay that answered last
	header  http.Header
	client  *http.Client
	own     *http.Transport
}

func (d *driver) Close() error {
	d.own.CloseIdleConnections()
	return nil
}

func (d *driver) Register(context.Context, discovery.Entry, func(discovery.Entry) bool) error {
	return discovery.ErrUnsupported
}

func (d *driver) Renew(context.Context, discovery.Entry) error { return discovery.ErrUnsupported }

func (d *driver) Deregister(context.Context, discovery.Entry) error { return discovery.ErrUnsupported }
