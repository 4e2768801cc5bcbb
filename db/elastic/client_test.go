package elastic_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/elastic"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
)

// stage opens a table on a fake of the test's own.
func stage(t *testing.T, opts ...elastic.Option) (*fake, db.Table) {
	t.Helper()
	f := newFake()
	t.Cleanup(f.Close)
	d, err := f.open(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	return f, tb
}

// fail answers requests for an operation with an error, n times.
func fail(op string, n int64, status int, body string) hook {
	var times atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if !strings.HasSuffix(r.URL.Path, op) || times.Add(1) > n {
			return false
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
		return true
	}
}

// cut closes the connection of requests for an operation instead of answering.
func cut(op string, n int64, done func(f *fake, r *http.Request, body string), f *fake) hook {
	var times atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, body string) bool {
		if !strings.HasSuffix(r.URL.Path, op) || times.Add(1) > n {
			return false
		}
		if done != nil {
			done(f, r, body)
		}
		c, _, _ := w.(http.Hijacker).Hijack()
		c.Close()
		return true
	}
}

// silent is a ResponseWriter for a request whose answer nobody will see.
type silent struct{ header http.Header }

func (s silent) Header() http.Header         { return s.header }
func (s silent) Write(b []byte) (int, error) { return len(b), nil }
func (s silent) WriteHeader(int)             {}

func TestServersErrorsHaveKinds(t *testing.T) {
	answer := func(typ, reason string) string {
		return fmt.Sprintf(`{"error":{"type":%q,"reason":%q,"root_cause":[{"type":"deep","reason":"the cause"}]}}`, typ, reason)
	}
	for name, c := range map[string]struct {
		status      int
		body        string
		read, write error
	}{
		"rejected":         {429, answer("es_rejected_execution_exception", "queue full"), fault.Unavailable, fault.Unavailable},
		"circuit breaker":  {503, answer("circuit_breaking_exception", "too much"), fault.Unavailable, fault.Unavailable},
		"no master":        {503, answer("cluster_block_exception", "no master"), fault.Unavailable, fault.Unavailable},
		"disk full":        {403, answer("cluster_block_exception", "read-only"), fault.Unavailable, fault.Unavailable},
		"primary away":     {503, answer("unavailable_shards_exception", "primary"), fault.Unavailable, fault.Unavailable},
		"node goes":        {503, answer("node_closed_exception", "closing"), fault.Unavailable, fault.UnknownOutcome},
		"bad gateway":      {502, "<html>", fault.Unavailable, fault.UnknownOutcome},
		"gateway timeout":  {504, "", fault.Unavailable, fault.UnknownOutcome},
		"broken":           {500, answer("null_pointer_exception", "oops"), nil, fault.UnknownOutcome},
		"too large":        {413, "", fault.TooLarge, fault.TooLarge},
		"immense term":     {400, answer("illegal_argument_exception", "Document contains at least one immense term"), fault.TooLarge, fault.TooLarge},
		"unauthenticated":  {401, `{"error":"who are you","status":401}`, fault.Denied, fault.Denied},
		"denied":           {403, answer("security_exception", "may not"), fault.Denied, fault.Denied},
		"redirect":         {302, "", nil, nil},
		"our fault":        {400, answer("parsing_exception", "what?"), nil, nil},
		"index is dropped": {404, answer("index_not_found_exception", "no such index"), fault.Invalid, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			f, tb := stage(t)
			f.on(fail("_mget", 100, c.status, c.body))
			_, err := tb.Read(t.Context(), "x")
			kind(t, "read", err, c.read, c.status)
			f.on(fail("_bulk", 100, c.status, c.body))
			kind(t, "write", tb.Create(t.Context(), &db.Record{ID: "x"}), c.write, c.status)
			if strings.Contains(c.body, "deep") && c.status != 404 && !strings.Contains(err.Error(), "the cause") {
				t.Errorf("%v does not say why", err)
			}
		})
	}
}

func kind(t *testing.T, what string, err, want error, status int) {
	t.Helper()
	var e *elastic.Error
	if got := fault.KindOf(err); got != want || !errors.As(err, &e) || e.Status != status {
		t.Errorf("%s: %v is %v with %+v, want %v with status %d", what, err, got, e, want, status)
	}
}

func TestLostAnswers(t *testing.T) {
	f, tb := stage(t)
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	apply := func(f *fake, r *http.Request, body string) { f.answer(silent{http.Header{}}, r, body) }
	f.on(cut("_bulk", 1, apply, f))
	if err := tb.Create(t.Context(), &db.Record{ID: "y"}); !errors.Is(err, db.ErrUnknownOutcome) {
		t.Errorf("a write whose answer was lost: %v, want ErrUnknownOutcome", err)
	}
	if _, err := tb.Read(t.Context(), "y"); err != nil {
		t.Errorf("it had been done, and reads as %v", err)
	}
	if n := f.count("_bulk"); n != 2 {
		t.Errorf("%d bulk requests, want 2: nothing that may have been done is done again", n)
	}
	before := f.count("_mget")
	f.on(cut("_mget", 1, nil, f))
	if _, err := tb.Read(t.Context(), "x"); err != nil || f.count("_mget") != before+2 {
		t.Errorf("a read on a connection that was closed: %v after %d requests, want 2", err, f.count("_mget")-before)
	}
	f.on(cut("_mget", 100, nil, f))
	if _, err := tb.Read(t.Context(), "x"); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("a read whose answers are lost: %v, want ErrUnavailable", err)
	}
	f.on(nil)
	f.Close()
	if err := tb.Create(t.Context(), &db.Record{ID: "z"}); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("a write to nobody: %v, want ErrUnavailable", err)
	}
}

// opaque is a round tripper that says nothing of how far a request got.
type opaque struct{}

func (opaque) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "_bulk") {
		return nil, errors.New("gone")
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestUnknownRoundTrippersMayHaveSent(t *testing.T) {
	_, tb := stage(t, elastic.WithClient(&http.Client{Transport: opaque{}}))
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); !errors.Is(err, db.ErrUnknownOutcome) {
		t.Errorf("got %v, want ErrUnknownOutcome", err)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	f, tb := stage(t, elastic.WithMaxResponse(64<<10))
	f.on(func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if !strings.HasSuffix(r.URL.Path, "_mget") {
			return false
		}
		for err := error(nil); err == nil; { // without end
			_, err = w.Write(make([]byte, 4096))
		}
		return true
	})
	if _, err := tb.Read(t.Context(), "x"); !errors.Is(err, db.ErrTooLarge) || !strings.Contains(err.Error(), "WithMaxResponse") {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	f.on(fail("_mget", 1, 400, `{"error":{"type":"x","reason":"`+strings.Repeat("long ", 1000)+`"}}`))
	if _, err := tb.Read(t.Context(), "x"); err == nil || len(err.Error()) > 1000 {
		t.Errorf("an error of %d bytes", len(fmt.Sprint(err)))
	}
	f.on(fail("_mget", 1, 200, "<html>"))
	if _, err := tb.Read(t.Context(), "x"); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("what is no JSON: %v, want ErrUnavailable", err)
	}
}

func TestCredentialsAreShownToTheServerOnly(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	other := newFake()
	t.Cleanup(other.Close)
	f := newFake()
	t.Cleanup(f.Close)
	other.on(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		t.Errorf("a redirect was followed, with %q", r.Header.Get("Authorization"))
		return false
	})
	f.on(func(w http.ResponseWriter, r *http.Request, _ string) bool {
		mu.Lock()
		seen = append(seen, r.Header.Get("Authorization"))
		mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "_mget") {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
			return true
		}
		return false
	})
	host := strings.TrimPrefix(f.URL, "http://")
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("bob:s3cret"))
	for want, o := range map[string]db.Option{
		basic:           elastic.Backend("http://bob:s3cret@"+host, elastic.WithAPIKey("k3y")),
		basic + " ":     elastic.Backend(host, elastic.WithAuth("bob", "s3cret")),
		"ApiKey s3cret": elastic.Backend(host, elastic.WithAPIKey("s3cret")),
		"":              elastic.Backend(host),
	} {
		seen = nil
		d, err := db.New(o)
		if err != nil {
			t.Fatal(err)
		}
		tb, err := d.Table(t.Context(), "things")
		if err != nil {
			t.Fatal(err)
		}
		_, err = tb.Read(t.Context(), "x")
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("a redirect: %v", err)
		}
		mu.Lock()
		for _, got := range seen {
			if got != strings.TrimSpace(want) {
				t.Errorf("the server was shown %q, want %q", got, want)
			}
		}
		mu.Unlock()
		d.Close()
	}
	for _, addr := range []string{"http://bob:s3cret@127.0.0.1:1", "https://bob:s3cret@127.0.0.1:1/path", "http://bob:s3cret@" + host + "x", "http://bob:s3cret@h/?x"} {
		_, err := db.New(elastic.Backend(addr), db.WithDialTimeout(time.Second))
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte("s3cret"))) {
			t.Errorf("%v", err)
		}
	}
}

func TestAnyOfSeveralAddressesDoes(t *testing.T) {
	leak.Check(t)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	hangs, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer hangs.Close()
	f := newFake()
	defer f.Close()
	d, err := db.New(elastic.Backend("http://"+dead.Addr().String()+","+f.URL), db.WithTimeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := tb.Create(t.Context(), &db.Record{ID: fmt.Sprint(i)}); err != nil {
			t.Errorf("with one address dead: %v", err)
		}
	}
	pings := func(within time.Duration) error {
		d, err := db.New(elastic.Backend(hangs.Addr().String()+","+f.URL), db.WithTimeout(within), db.WithLazy())
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		return errors.Join(d.Ping(t.Context()), d.Ping(t.Context()), d.Ping(t.Context()))
	}
	err = pings(2 * time.Second)
	if err != nil { // a busy machine may need longer
		err = pings(40 * time.Second)
	}
	if err != nil {
		t.Errorf("with one address that hangs: %v", err)
	}
	_, err = db.New(elastic.Backend(dead.Addr().String()+","+dead.Addr().String()), db.WithDialTimeout(5*time.Second))
	if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), dead.Addr().String()) {
		t.Errorf("all dead: %v, want ErrUnavailable with the address", err)
	}
}

func TestCloseWaitsForCallsInProgress(t *testing.T) {
	leak.Check(t)
	f := newFake()
	defer f.Close()
	d, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	arrived, release := make(chan struct{}), make(chan struct{})
	f.on(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		if strings.HasSuffix(r.URL.Path, "_bulk") {
			close(arrived)
			<-release
		}
		return false
	})
	done := make(chan error, 2)
	go func() { done <- tb.Create(context.Background(), &db.Record{ID: "x"}) }()
	<-arrived
	go func() { done <- d.Close() }()
	select {
	case err := <-done:
		t.Errorf("Close did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestCancelledCallsReturn(t *testing.T) {
	f, tb := stage(t)
	arrived, release := make(chan struct{}, 2), make(chan struct{})
	f.on(func(http.ResponseWriter, *http.Request, string) bool {
		arrived <- struct{}{}
		<-release
		return false
	})
	for what, call := range map[string]func(ctx context.Context) error{
		"read":  func(ctx context.Context) error { _, err := tb.Read(ctx, "x"); return err },
		"write": func(ctx context.Context) error { return tb.Create(ctx, &db.Record{ID: "x"}) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		err := call(ctx)
		if !errors.Is(err, context.Canceled) || (what == "write") != errors.Is(err, db.ErrUnknownOutcome) {
			t.Errorf("%s: %v, want context.Canceled, and ErrUnknownOutcome only of the write", what, err)
		}
	}
	close(release)
}

func TestServersAreCheckedByTheirCertificate(t *testing.T) {
	f := newFake()
	f.Close()
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail
	f.StartTLS()
	t.Cleanup(f.Close)
	pool := x509.NewCertPool()
	pool.AddCert(f.Certificate())
	d, err := f.open(elastic.WithTLS(&tls.Config{RootCAs: pool}))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Table(t.Context(), "things"); err != nil {
		t.Error(err)
	}
	var unknown x509.UnknownAuthorityError
	if _, err := f.open(); !errors.Is(err, db.ErrUnavailable) || !errors.As(err, &unknown) {
		t.Errorf("a certificate that nobody vouches for: %v, want ErrUnavailable with the cause", err)
	}
}

func TestPoolBoundsConnections(t *testing.T) {
	const most, calls = 4, 4_000
	f := newFake()
	f.Close()
	f.Server = httptest.NewUnstartedServer(f)
	var opened, open, highest atomic.Int64
	f.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			opened.Add(1)
			if n := open.Add(1); n > highest.Load() {
				highest.Store(n)
			}
		case http.StateClosed:
			open.Add(-1)
		}
	}
	f.Start()
	t.Cleanup(f.Close)
	d, err := f.open(elastic.WithMaxConns(most))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	f.on(func(w http.ResponseWriter, _ *http.Request, _ string) bool {
		io.WriteString(w, `{"docs":[{"found":true,"_source":{"id":"x","version":1}}]}`)
		return true
	})
	var work sync.WaitGroup
	for range 16 {
		work.Go(func() {
			for range calls / 16 {
				if _, err := tb.Read(context.Background(), "x"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	// On a busy machine a connection is now and then replaced, and the server
	// hears of the new one first.
	if n := opened.Load(); n < 1 || n > calls/100 || highest.Load() > 2*most {
		t.Errorf("%d connections, up to %d at a time, want up to %d", n, highest.Load(), most)
	}
}
