// Package url has the source of config that reads a document over HTTP.
//
//	config.WithSource(url.Source("https://config.example.com/orders.json"), config.Poll(time.Minute))
//
// It is polled. A server that answers with an ETag or Last-Modified is asked
// conditionally, so that a poll without a change costs an empty answer. LongPoll
// follows one that holds a request until the document changes, such as
// config/store/web.
//
//	config.WithSource(url.LongPoll("https://ops/config/shop/orders?layers", 30*time.Second))
//
// Answers are bounded by config.MaxSize, also after decompression. Redirects
// stay on the same host and never go from https to http. Proxies from the
// environment are not used.
package url

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option is an option of Source and LongPoll.
type Option func(*source) error

// WithFormat adds a format. It is chosen by the extension of the URL's path;
// if that says nothing the first one given is taken, else JSON.
func WithFormat(f config.Format) Option {
	return func(s *source) error {
		s.formats = append(s.formats, f)
		return fronts.Given(f, "WithFormat")
	}
}

// WithClient uses a client of your own: its transport, TLS and timeout. Its
// rules for redirects are replaced by this package's.
func WithClient(c *http.Client) Option {
	return func(s *source) error {
		s.client = c
		return fronts.Given(c, "WithClient")
	}
}

// WithRequest lets f change each request before it is sent, to add a header for
// instance. f's error fails the read.
func WithRequest(f func(*http.Request) error) Option {
	return func(s *source) error {
		s.prepare = append(s.prepare, f)
		return fronts.Given(f, "WithRequest")
	}
}

// WithChecksum pins the content: anything but the document with this SHA-256,
// in hex, is refused.
func WithChecksum(sum string) Option {
	return func(s *source) error {
		b, err := hex.DecodeString(sum)
		if err != nil || len(b) != sha256.Size {
			return fmt.Errorf("WithChecksum: %q is no SHA-256 in hex", sum)
		}
		s.pinned = b
		return nil
	}
}

// Source returns the source of the document at rawURL, which is http or https.
// A user and password in it are sent as basic authentication and shown nowhere.
func Source(rawURL string, opts ...Option) config.Source {
	return &source{raw: rawURL, opts: opts}
}

type source struct {
	raw     string
	opts    []Option
	formats []config.Format
	client  *http.Client
	own     *http.Transport
	prepare []func(*http.Request) error
	pinned  []byte
	url     *url.URL

	mu       sync.Mutex
	last     config.Content // what the validators below belong to
	etag     string
	modified string
}

func (s *source) Name() string { return "url " + conn.Redact(s.raw) }

func (s *source) Open(context.Context) error {
	u, err := url.Parse(s.raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fault.Markf(config.ErrInvalid, "want an http or https URL") // err repeats the URL
	}
	s.url = u
	if err := fronts.Apply(s, s.opts); err != nil {
		return fault.Mark(config.ErrInvalid, err)
	}
	s.formats = append(s.formats, config.JSON{})
	client := http.Client{}
	if s.client != nil {
		client = *s.client
	} else {
		s.own = http.DefaultTransport.(*http.Transport).Clone()
		s.own.Proxy = nil
		client.Transport = s.own
	}
	client.CheckRedirect = sameHost
	s.client = &client
	return nil
}

func sameHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > 4:
		return errors.New("more than 4 redirects")
	case next.URL.Host != first.Host:
		return fmt.Errorf("redirect from %s to another host, %s", first.Host, next.URL.Host)
	case next.URL.Scheme != first.Scheme && next.URL.Scheme != "https":
		return errors.New("redirect from https to " + next.URL.Scheme)
	}
	return nil
}

func (s *source) Close() error {
	if s.own != nil {
		s.own.CloseIdleConnections()
	}
	return nil
}

func (s *source) Read(ctx context.Context) (config.Content, error) {
	c, _, err := s.ask(ctx, 0)
	return c, err
}

// ask reads the document. A server that can is asked to wait for a change, and
// applied says that it did.
func (s *source) ask(ctx context.Context, wait time.Duration) (c config.Content, applied bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.raw, nil)
	if err != nil {
		return config.Content{}, false, fault.Markf(config.ErrInvalid, "malformed URL")
	}
	s.mu.Lock()
	last, etag, modified := s.last, s.etag, s.modified
	s.mu.Unlock()
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
		if wait > 0 {
			req.Header.Set("Prefer", fmt.Sprintf("wait=%d", int(wait.Seconds())))
		}
	} else if modified != "" {
		req.Header.Set("If-Modified-Since", modified)
	}
	for _, f := range s.prepare {
		if err := f(req); err != nil {
			return config.Content{}, false, fault.Mark(config.ErrUnavailable, err)
		}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok { // its text repeats the URL with its query
			err = ue.Err
		}
		if ctx.Err() != nil {
			return config.Content{}, false, ctx.Err()
		}
		return config.Content{}, false, fault.Mark(config.ErrUnavailable, err)
	}
	defer resp.Body.Close()
	applied = strings.Contains(resp.Header.Get("Preference-Applied"), "wait")
	if resp.StatusCode == http.StatusNotModified && last.Parts != nil {
		return last, applied, nil
	}
	if err := status(resp); err != nil {
		return config.Content{}, applied, err
	}
	c, err = s.accept(resp)
	return c, applied, err
}

func status(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusNotFound || code == http.StatusGone:
		return fault.Markf(config.ErrNotFound, "the server answers %s", resp.Status)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fault.Markf(config.ErrDenied, "the server answers %s", resp.Status)
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return fault.Markf(config.ErrUnavailable, "the server answers %s", resp.Status)
	default:
		return fault.Markf(config.ErrInvalid, "the server answers %s, want 200", resp.Status)
	}
}

func (s *source) accept(resp *http.Response) (config.Content, error) {
	data, err := io.ReadAll(io.LimitReader(resp.Body, config.MaxSize+1))
	if err != nil {
		return config.Content{}, fault.Mark(config.ErrUnavailable, fmt.Errorf("answer cut short: %w", err))
	}
	if len(data) > config.MaxSize {
		return config.Content{}, fault.Markf(config.ErrTooLarge, "more than %d bytes", config.MaxSize)
	}
	sum := sha256.Sum256(data)
	if s.pinned != nil && !slices.Equal(s.pinned, sum[:]) {
		return config.Content{}, fault.Markf(config.ErrInvalid, "the document has the SHA-256 %x, pinned is %x", sum, s.pinned)
	}
	c := config.Content{Parts: []config.Part{{Data: data, Format: s.format()}}, Revision: hex.EncodeToString(sum[:8])}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.etag, s.modified = c, resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	return c, nil
}

func (s *source) format() config.Format {
	ext := strings.ToLower(path.Ext(s.url.Path))
	for _, f := range s.formats {
		if slices.Contains(f.Extensions(), ext) {
			return f
		}
	}
	return s.formats[0]
}
