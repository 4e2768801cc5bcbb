package url_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/configtest"
	"github.com/micro/go-platform/config/toml"
	"github.com/micro/go-platform/config/url"
	"github.com/micro/go-platform/config/yaml"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// server serves one document with an ETag.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	doc      string
	absent   bool
	down     bool
	full     atomic.Int64 // answers with a body
	requests atomic.Int64
}

func newServer(t *testing.T) *server {
	s := &server{absent: true}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests.Add(1)
	switch {
	case s.down:
		w.WriteHeader(http.StatusServiceUnavailable)
	case s.absent:
		w.WriteHeader(http.StatusNotFound)
	default:
		tag := fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(s.doc)))
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		s.full.Add(1)
		w.Write([]byte(s.doc))
	}
}

func (s *server) set(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func TestURLSourceConforms(t *testing.T) {
	configtest.Run(t, func(t *testing.T) configtest.Harness {
		s := newServer(t)
		return configtest.Harness{
			Source:       func() config.Source { return url.Source(s.URL + "/app.json") },
			Set:          func(doc string) { s.set(func() { s.doc, s.absent = doc, false }) },
			Delete:       func() { s.set(func() { s.absent = true }) },
			Down:         func() { s.set(func() { s.down = true }) },
			Up:           func() { s.set(func() { s.down = false }) },
			Options:      []config.SourceOption{config.Poll(20 * time.Millisecond)},
			Requests:     func() int { return int(s.full.Load()) },
			IdleRequests: 0, // answers with a body: polls are conditional
			Idle:         200 * time.Millisecond,
		}
	})
}

func serve(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func open(t *testing.T, src config.Source) (config.Config, error) {
	c, err := config.New(config.WithSource(src))
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func TestRedirectsStayOnTheHost(t *testing.T) {
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		t.Error("followed a redirect to another host")
	})
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/here":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/there":
			w.Write([]byte(`{"n":1}`))
		case "/away":
			http.Redirect(w, r, other+"/there", http.StatusFound)
		case "/1":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/2", "/3", "/4", "/5":
			http.Redirect(w, r, "/"+string(r.URL.Path[1]-1), http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		}
	})
	for _, path := range []string{"/here", "/3", "/4"} {
		if c, err := open(t, url.Source(base+path)); err != nil || c.Get("n").Int(0) != 1 {
			t.Errorf("%s, redirects on the host: %v", path, err)
		}
	}
	for path, want := range map[string]string{"/away": "another host", "/loop": "more than 4 redirects", "/5": "more than 4 redirects"} {
		if _, err := open(t, url.Source(base+path)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

func TestDowngradeToHTTPIsRefused(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+"/x", http.StatusFound)
	}))
	defer s.Close()
	if _, err := open(t, url.Source(s.URL, url.WithClient(s.Client()))); err == nil || !strings.Contains(err.Error(), "https to http") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestAnswersAreBoundedAlsoAfterDecompression(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(bytes.Repeat([]byte(" "), 6<<20))
	z.Close()
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(packed.Bytes())
	})
	if _, err := open(t, url.Source(base)); !errors.Is(err, config.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func TestHangingServerIsLeftAfterTheTimeout(t *testing.T) {
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	c, err := config.New(config.WithSource(url.Source(base)), config.WithTimeout(50*time.Millisecond))
	if !errors.Is(err, config.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
		c.Close()
	}
}

func TestPinnedChecksumRefusesAnythingElse(t *testing.T) {
	doc := `{"n":1}`
	base := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(doc)) })
	pin := url.WithChecksum(fmt.Sprintf("%x", sha256.Sum256([]byte(doc))))
	c, err := open(t, url.Source(base, pin))
	if err != nil {
		t.Fatal(err)
	}
	doc = `{"n":2}`
	if err := c.Reload(t.Context()); !errors.Is(err, config.ErrInvalid) || c.Get("n").Int(0) != 1 {
		t.Errorf("got %v with n = %v, want ErrInvalid and 1", err, c.Get("n"))
	}
}

func TestNothingSecretOfTheURLShows(t *testing.T) {
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != "me" || p != "hunter2" || r.URL.Query().Get("key") != "hunter2" || r.Header.Get("X-Extra") != "1" {
			t.Errorf("request lacks something: %v", r)
		}
		w.WriteHeader(http.StatusForbidden)
	})
	src := url.Source(strings.Replace(base, "://", "://me:hunter2@", 1)+"/a?key=hunter2", url.WithRequest(func(r *http.Request) error {
		r.Header.Set("X-Extra", "1")
		return nil
	}))
	_, err := open(t, src)
	if !errors.Is(err, config.ErrDenied) || strings.Contains(err.Error()+src.Name(), "hunter2") {
		t.Errorf("got %v from %s", err, src.Name())
	}
	_, err = open(t, url.Source("http://me:hunter2@127.0.0.1:1/?key=hunter2"))
	if !errors.Is(err, config.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestFormatComesFromTheExtension(t *testing.T) {
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".json") {
			w.Write([]byte(`{"n":1}`))
		} else {
			w.Write([]byte("n: 1 # yaml"))
		}
	})
	for _, path := range []string{"/a.json", "/a.yaml"} {
		if c, err := open(t, url.Source(base+path, url.WithFormat(toml.Format{}), url.WithFormat(yaml.Format{}))); err != nil || c.Get("n").Int(0) != 1 {
			t.Errorf("%s, of three formats: %v", path, err)
		}
	}
	for _, path := range []string{"/a.json", "/a.yaml", "/a"} {
		if c, err := open(t, url.Source(base+path, url.WithFormat(yaml.Format{}))); err != nil || c.Get("n").Int(0) != 1 {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAWatchAndAReadShareTheFormats(t *testing.T) {
	base := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(`{"n":1}`)) })
	s := url.LongPoll(base+"/a", time.Second, url.WithFormat(toml.Format{}), url.WithFormat(yaml.Format{}), url.WithFormat(config.JSON{}))
	if err := s.(config.Opener).Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.(config.Closer).Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { s.(config.Watcher).Watch(ctx, func(config.Content, error) { cancel() }) })
	for ctx.Err() == nil {
		if _, err := s.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBadArgumentsAreErrorsOfNew(t *testing.T) {
	for name, src := range map[string]config.Source{
		"scheme": url.Source("ftp://x/y"), "no host": url.Source("http:///y"), "malformed": url.Source("http://a b/:::"), "empty": url.Source(""),
		"half a checksum": url.Source("http://x", url.WithChecksum("abcd")), "a checksum and a byte": url.Source("http://x", url.WithChecksum(strings.Repeat("ab", 33))),
		"checksum": url.Source("http://x", url.WithChecksum("abc")), "client": url.Source("http://x", url.WithClient(nil)),
		"format": url.Source("http://x", url.WithFormat(nil)), "request": url.Source("http://x", url.WithRequest(nil)), "nil": url.Source("http://x", nil),
	} {
		if _, err := open(t, src); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}
