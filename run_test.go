package platform_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	gosync "sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"deployed": deployed, "member": member})
	leak.Main(m)
}

// running is an App under Run.
type running struct {
	*platform.App
	stop context.CancelFunc
	done chan error
	logs *lines
}

// start makes an App, runs it, and returns when it is registered.
func start(t *testing.T, opts []platform.Option, servers ...platform.Server) *running {
	t.Helper()
	r := made(t, opts)
	r.start(t, servers...)
	return r
}

// made is an App that does not run yet.
func made(t *testing.T, opts []platform.Option) *running {
	t.Helper()
	logs := &lines{}
	app, err := platform.New("greeter", append([]platform.Option{platform.WithLog(log.ToWriter(logs, log.JSON()))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return &running{App: app, done: make(chan error, 1), logs: logs}
}

func (r *running) start(t *testing.T, servers ...platform.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	go func() { r.done <- r.Run(ctx, servers...) }()
	t.Cleanup(cancel)
	r.address(t, "greeter")
}

// address waits until the service is registered.
func (r *running) address(t *testing.T, service string) string {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		select {
		case err := <-r.done:
			t.Fatalf("Run ended: %v", err)
		default:
		}
		s, err := r.Discovery().Get(t.Context(), service, discovery.MaxStale(0))
		if err == nil && len(s.Instances) > 0 {
			return s.Instances[0].Address
		}
	}
	t.Fatalf("%s is not registered", service)
	return ""
}

func (r *running) end(t *testing.T) error {
	t.Helper()
	r.stop()
	return wait(t, r.done)
}

func wait(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Minute):
		t.Fatal("Run does not return")
		return nil
	}
}

// lines is a writer that can be read meanwhile.
type lines struct {
	mu gosync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func hello() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, "Hello, ", r.PathValue("name")) })
	return mux
}

// get asks on a connection of its own.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// The monitor knows from the registry which instances there should be: its verdict
// on the own service is known, and one that nobody hears of is missing.
func TestTheMonitorKnowsWhoShouldBeThere(t *testing.T) {
	registry := discovery.NewRegistry()
	r := start(t, []platform.Option{
		platform.WithDiscovery(discovery.Memory(registry)), platform.WithMonitor(monitor.WithInterval(20 * time.Millisecond)),
	}, platform.HTTP("127.0.0.1:0", hello()))
	await := func(verdict monitor.State, expected int) {
		t.Helper()
		var v monitor.View
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if v = r.Monitor().Cluster().View("greeter"); v.Verdict == verdict && v.Expected == expected {
				return
			}
		}
		t.Fatalf("got %v, %d expected, %q, want %v, %d", v.Verdict, v.Expected, v.Reasons, verdict, expected)
	}
	await(monitor.Pass, 1)
	other, err := discovery.New(discovery.Memory(registry))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Register(t.Context(), discovery.Instance{ID: "silent", Service: "greeter", Address: "10.0.0.1:80"}); err != nil {
		t.Fatal(err)
	}
	await(monitor.Warn, 2)
	if v := r.Monitor().Cluster().View("never"); v.Expected != -1 || v.Verdict != monitor.Unknown {
		t.Errorf("a service that nobody follows: %v, %d expected", v.Verdict, v.Expected)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}

// A service is called by its name, watched, and gone when it stops.
func TestServiceIsCalledByNameAndLeaves(t *testing.T) {
	registry := discovery.NewRegistry()
	r := start(t, []platform.Option{
		platform.WithVersion("1.2.0"), platform.WithInstance("one"), platform.WithZone("z"), platform.WithLabels(map[string]string{"tier": "gold"}),
		platform.WithDiscovery(discovery.Memory(registry)),
	}, platform.HTTP("127.0.0.1:0", hello()))
	addr := r.address(t, "greeter")

	resp, err := r.Client().Get("http://greeter/hello/Ada")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(b) != "Hello, Ada" {
		t.Errorf("got %q", b)
	}
	for path, want := range map[string]string{"/livez": "ok", "/readyz": "ok", "/metrics": "/hello/{name}", "/metrics?": `service_version="1.2.0"} 1`, "/statusz": `"version": "1.2.0"`} {
		if code, body := get(t, "http://"+addr+path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %q, want %q in it", path, code, body, want)
		}
	}
	if code, _ := get(t, "http://"+addr+"/other"); code != 404 {
		t.Errorf("/other: %d, want 404", code)
	}
	seen, err := discovery.New(discovery.Memory(registry))
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Close()
	s, err := seen.Get(t.Context(), "greeter")
	if err != nil || len(s.Instances) != 1 {
		t.Fatal(s, err)
	}
	in := s.Instances[0]
	if in.ID != "one" || in.Version != "1.2.0" || in.Zone != "z" || in.Labels["tier"] != "gold" || in.Address != addr {
		t.Errorf("registered as %+v", in)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
	if s, err := seen.Get(t.Context(), "greeter", discovery.MaxStale(0)); err != nil || len(s.Instances) != 0 {
		t.Errorf("after the end: %v, %v", s.Instances, err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
	for line := range strings.Lines(r.logs.String()) {
		var rec map[string]any
		if err := json.Unmarshal([]byte(line), &rec); err != nil || rec["service.name"] != "greeter" || rec["service.instance.id"] != "one" || rec["service.version"] != "1.2.0" {
			t.Errorf("line without the identity: %s %v", line, err)
		}
	}
}

// SIGTERM stops the service while a call is in progress, which gets its answer.
func TestSignalDrains(t *testing.T) {
	entered := make(chan struct{})
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /slow", func(rw http.ResponseWriter, r *http.Request) { close(entered); <-release; fmt.Fprint(rw, "done") })
	r := start(t, nil, platform.HTTP("127.0.0.1:0", mux))
	addr := r.address(t, "greeter")
	answer := make(chan string, 1)
	go func() { _, body := get(t, "http://"+addr+"/slow"); answer <- body }()
	<-entered
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); r.Monitor().Status().Phase != monitor.Draining; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the signal does not make it drain")
		}
	}
	close(release)
	if err := wait(t, r.done); err != nil {
		t.Error(err)
	}
	if got := <-answer; got != "done" {
		t.Errorf("the call in progress got %q", got)
	}
}

// Streams that go on indefinitely are ended as with net/http alone, and an open
// one does not hold the program up until its time is over.
func TestStreamsEndWithRegisterOnShutdown(t *testing.T) {
	over := make(chan struct{})
	stream := func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprint(rw, "data: 1\n\n")
		http.NewResponseController(rw).Flush()
		<-over
		fmt.Fprint(rw, "data: last\n\n")
	}
	r := start(t, nil, platform.HTTP("127.0.0.1:0", http.HandlerFunc(stream), func(s *http.Server) {
		s.RegisterOnShutdown(func() { close(over) })
	}))
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + r.address(t, "greeter"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := r.end(t); err != nil {
		t.Errorf("Run: %v", err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(b), "last\n\n") {
		t.Errorf("the stream: %q, %v", b, err)
	}
}

// Close ends Run as a signal does, calls in progress included.
func TestCloseEndsRun(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /slow", func(rw http.ResponseWriter, r *http.Request) { close(entered); <-release; fmt.Fprint(rw, "done") })
	r := start(t, nil, platform.HTTP("127.0.0.1:0", mux), platform.Job(func(ctx context.Context) error { <-ctx.Done(); return nil }))
	addr := r.address(t, "greeter")
	answer := make(chan string, 1)
	go func() { _, body := get(t, "http://"+addr+"/slow"); answer <- body }()
	<-entered
	closed := make(chan error, 1)
	go func() { closed <- r.Close(t.Context()) }()
	for end := time.Now().Add(30 * time.Second); r.Monitor().Status().Phase != monitor.Draining; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not drain")
		}
	}
	close(release)
	for _, done := range []chan error{closed, r.done} {
		if err := wait(t, done); err != nil {
			t.Error(err)
		}
	}
	if got := <-answer; got != "done" {
		t.Errorf("the call in progress got %q", got)
	}
}

// What does not end in time is cut off, and said.
func TestStopTimeoutCutsOffAndSays(t *testing.T) {
	entered := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hang", func(rw http.ResponseWriter, r *http.Request) { close(entered); <-r.Context().Done() })
	r := start(t, []platform.Option{platform.WithStopTimeout(50 * time.Millisecond)}, platform.HTTP("127.0.0.1:0", mux))
	addr := r.address(t, "greeter")
	failed := make(chan error, 1)
	go func() {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := c.Get("http://" + addr + "/hang")
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-entered
	err := r.end(t)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 calls in progress") {
		t.Errorf("Run: %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("the call was answered")
	}
}

// TestProcess is not a test: it is the program that TestSecondSignalEndsAtOnce
// starts.
func TestProcess(t *testing.T) {
	addr := os.Getenv("PLATFORM_TEST_ADDRESS")
	if addr == "" {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hang", func(rw http.ResponseWriter, _ *http.Request) {
		rw.(http.Flusher).Flush()
		select {}
	})
	app, err := platform.New("greeter", platform.WithLog(log.ToWriter(io.Discard, log.JSON())))
	if err != nil {
		t.Fatal(err)
	}
	t.Fatal(app.Run(context.Background(), platform.HTTP(addr, mux)))
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	addr := free(t)
	c := exec.Command(os.Args[0], "-test.run=^TestProcess$")
	c.Env = append(os.Environ(), "PLATFORM_TEST_ADDRESS="+addr)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- c.Wait() }()
	for end := time.Now().Add(30 * time.Second); ; {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			fmt.Fprint(nc, "GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
			defer nc.Close()
			if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil { // the handler runs
				t.Fatal(err)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	for sent := 1; ; sent++ {
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-exited:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("the process ended with %v, want by the signal", err)
			}
			if sent < 2 {
				t.Error("the first signal ended it: a call is in progress")
			}
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// With TLS the port speaks nothing else.
func TestTLS(t *testing.T) {
	donor := httptest.NewTLSServer(nil)
	defer donor.Close()
	r := start(t, nil, platform.HTTP("127.0.0.1:0", hello(), func(s *http.Server) { s.TLSConfig = donor.TLS.Clone() }))
	addr := r.address(t, "greeter")
	roots := x509.NewCertPool()
	roots.AddCert(donor.Certificate())
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr}).Get("https://" + addr + "/hello/Ada")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
	if code, _ := get(t, "http://"+addr+"/hello/Ada"); code != 400 {
		t.Errorf("without TLS: %d, want 400", code)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}

// With auth nobody comes in without a token, but for the probes.
func TestAuth(t *testing.T) {
	r := start(t, []platform.Option{platform.WithAuth(auth.Local(auth.NewAuthority()))}, platform.HTTP("127.0.0.1:0", hello()))
	addr := r.address(t, "greeter")
	for path, want := range map[string]int{"/hello/Ada": 401, "/readyz": 200, "/livez": 200, "/metrics": 401, "/statusz": 401} {
		if code, _ := get(t, "http://"+addr+path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
	if r.Auth() == nil {
		t.Error("no auth")
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}

// The operators' pages are on the service's port, unless the mux has the path or
// there is a port of their own.
func TestOperatorsPages(t *testing.T) {
	own := hello()
	own.HandleFunc("GET /metrics", func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, "mine") })
	all := http.NewServeMux()
	all.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, "all") })
	for name, c := range map[string]struct {
		handler http.Handler
		path    string
		code    int
		want    string
	}{
		"pattern of the service's":  {own, "/metrics", 200, "mine"},
		"no pattern":                {own, "/readyz", 200, "ok"},
		"below a probe":             {own, "/livezz", 404, ""},
		"a pattern for everything":  {all, "/readyz", 200, "ok"},
		"everything else":           {all, "/other", 200, "all"},
		"a handler that is no mux":  {http.HandlerFunc(all.ServeHTTP), "/readyz", 200, "ok"},
		"another path of that":      {http.HandlerFunc(all.ServeHTTP), "/x", 200, "all"},
		"the service's own handler": {own, "/hello/Ada", 200, "Hello, Ada"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil, platform.HTTP("127.0.0.1:0", c.handler))
			if code, body := get(t, "http://"+r.address(t, "greeter")+c.path); code != c.code || !strings.Contains(body, c.want) {
				t.Errorf("%d %q, want %d %q", code, body, c.code, c.want)
			}
			if err := r.end(t); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("patterns for everything", func(t *testing.T) {
		for pattern, want := range map[string]bool{
			"GET /": true, "/": true, "127.0.0.1/": true, "GET /{code}": true, "GET /{rest...}": true,
			"GET /readyz": false, "/readyz": false, "127.0.0.1/readyz": false,
		} {
			mux := http.NewServeMux()
			mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) { rw.Header().Set("Mine", "1") })
			r := start(t, nil, platform.HTTP("127.0.0.1:0", mux))
			url := "http://" + r.address(t, "greeter") + "/readyz"
			for _, method := range []string{"GET", "HEAD"} {
				q, err := http.NewRequestWithContext(t.Context(), method, url, nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := r.Client().Do(q)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if theirs := resp.Header.Get("Mine") != ""; theirs == want || resp.StatusCode != 200 {
					t.Errorf("%s /readyz beside %q: %d, by the service %v, want the probe: %v", method, pattern, resp.StatusCode, theirs, want)
				}
			}
			if err := r.end(t); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("a port of their own", func(t *testing.T) {
		ops := free(t)
		r := start(t, nil, platform.HTTP("127.0.0.1:0", hello()), platform.Ops(ops))
		addr := r.address(t, "greeter")
		for url, want := range map[string]int{"http://" + addr + "/readyz": 404, "http://" + addr + "/metrics": 404, "http://" + ops + "/readyz": 200, "http://" + ops + "/hello/Ada": 404} {
			if code, _ := get(t, url); code != want {
				t.Errorf("%s: %d, want %d", url, code, want)
			}
		}
		if err := r.end(t); err != nil {
			t.Error(err)
		}
	})
	t.Run("beside a handler of the operators'", func(t *testing.T) {
		ops := free(t)
		r := start(t, nil, platform.HTTP("127.0.0.1:0", hello()), platform.Ops(ops, func(s *http.Server) { s.Handler = own }))
		for path, want := range map[string]string{"/hello/Ada": "Hello, Ada", "/metrics": "mine", "/readyz": "ok"} {
			if code, body := get(t, "http://"+ops+path); code != 200 || !strings.Contains(body, want) {
				t.Errorf("%s: %d %q, want %q", path, code, body, want)
			}
		}
		if err := r.end(t); err != nil {
			t.Error(err)
		}
	})
}

// free returns an address that nothing listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Several servers have names of their own; what can't be is refused, and nothing
// listens afterwards.
func TestServers(t *testing.T) {
	r := start(t, []platform.Option{platform.WithHost("localhost")},
		platform.HTTP("127.0.0.1:0", hello()), platform.As("greeter.admin", platform.HTTP("127.0.0.1:0", hello())))
	admin := r.address(t, "greeter.admin")
	if host, _, _ := net.SplitHostPort(admin); host != "localhost" {
		t.Errorf("registered at %s, want the host that was given", admin)
	}
	if _, body := get(t, "http://"+admin+"/hello/Bo"); body != "Hello, Bo" {
		t.Errorf("got %q", body)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
	if err := r.Run(t.Context(), platform.HTTP("127.0.0.1:0", hello())); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("second Run: %v", err)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	first := free(t)
	for name, c := range map[string]struct {
		servers []platform.Server
		want    string
		kind    error
	}{
		"none":            {nil, "no server", platform.ErrInvalid},
		"nil":             {[]platform.Server{nil}, "nil server", platform.ErrInvalid},
		"nil handler":     {[]platform.Server{platform.HTTP(first, nil)}, "nil handler", platform.ErrInvalid},
		"nil adjustment":  {[]platform.Server{platform.HTTP(first, hello(), nil)}, "nil function", platform.ErrInvalid},
		"empty name":      {[]platform.Server{platform.As("", platform.HTTP(first, hello()))}, "empty name", platform.ErrInvalid},
		"nil with a name": {[]platform.Server{platform.As("x", nil)}, "nil server", platform.ErrInvalid},
		"two of a name":   {[]platform.Server{platform.HTTP(first, hello()), platform.HTTP("127.0.0.1:0", hello())}, "two servers", platform.ErrInvalid},
		"port in use":     {[]platform.Server{platform.HTTP(first, hello()), platform.Ops(taken.Addr().String())}, "address already in use", syscall.EADDRINUSE},
	} {
		t.Run(name, func(t *testing.T) {
			app, err := platform.New("greeter")
			if err != nil {
				t.Fatal(err)
			}
			err = app.Run(t.Context(), c.servers...)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), `platform: run "greeter": `) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			l, err := net.Listen("tcp", first)
			if err != nil {
				t.Fatalf("still listening: %v", err)
			}
			l.Close()
		})
	}
}

// Another process with the id is an error, and the one that runs stays.
func TestTwoInstancesWithOneID(t *testing.T) {
	registry := discovery.NewRegistry()
	opts := []platform.Option{platform.WithInstance("one"), platform.WithDiscovery(discovery.Memory(registry))}
	r := start(t, opts, platform.HTTP("127.0.0.1:0", hello()))
	addr := r.address(t, "greeter")
	second, err := platform.New("greeter", opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context(), platform.HTTP("127.0.0.1:0", hello())); !errors.Is(err, discovery.ErrExists) {
		t.Errorf("second: %v", err)
	}
	if got := r.address(t, "greeter"); got != addr {
		t.Errorf("registered at %s, want %s", got, addr)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}

// What the monitor finds reaches the registry while the service runs.
func TestReadinessIsRegistered(t *testing.T) {
	r := made(t, nil)
	if err := r.Monitor().Register(monitor.Check{Name: "database", TTL: time.Minute, FailAfter: 1}); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	r.Monitor().Beat("database", refused)
	r.start(t, platform.HTTP("127.0.0.1:0", hello()))
	for _, step := range []struct {
		beat error
		want discovery.Status
	}{{refused, discovery.Starting}, {nil, discovery.Up}, {refused, discovery.Draining}, {nil, discovery.Up}} {
		r.Monitor().Beat("database", step.beat)
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			s, err := r.Discovery().Get(t.Context(), "greeter", discovery.MaxStale(0))
			if err == nil && len(s.Instances) == 1 && s.Instances[0].Status == step.want {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("after %v: %v, %v, want %v", step.beat, s, err, step.want)
			}
		}
		want := 200 // of the check alone
		if step.beat != nil {
			want = 503
		}
		if code, body := get(t, "http://"+r.address(t, "greeter")+"/readyz/database"); code != want {
			t.Errorf("after %v: /readyz/database: %d %q, want %d", step.beat, code, body, want)
		}
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}

// lasting is a server that serves for a while after it was told to stop.
type lasting struct {
	told, over chan struct{}
	served     atomic.Bool
}

func (s *lasting) Address() string { return "127.0.0.1:0" }
func (s *lasting) Serve(net.Listener, *wrapper.Wrapper, monitor.Monitor) error {
	<-s.over
	s.served.Store(true)
	return nil
}
func (s *lasting) Shutdown(context.Context) error { close(s.told); return nil }

func TestRunReturnsWhenItsServersHave(t *testing.T) {
	s := &lasting{told: make(chan struct{}), over: make(chan struct{})}
	r := start(t, nil, s)
	r.stop()
	<-s.told
	select {
	case err := <-r.done:
		t.Fatalf("Run returned %v while a server served", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(s.over)
	if err := wait(t, r.done); err != nil || !s.served.Load() {
		t.Errorf("Run: %v, the server has returned: %t", err, s.served.Load())
	}
}

// What is in progress when Shutdown's time is over is cut off, and that is said.
func TestShutdownOfHTTPSaysWhatItCutsOff(t *testing.T) {
	app := made(t, nil)
	defer app.Close(context.Background())
	for name, c := range map[string]struct {
		hangs bool
		want  error
	}{"nothing": {false, nil}, "a call": {true, context.DeadlineExceeded}} {
		t.Run(name, func(t *testing.T) {
			entered, served := make(chan bool), make(chan error, 1)
			s := platform.HTTP("", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				close(entered)
				<-r.Context().Done()
			}))
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go func() { served <- s.Serve(l, app.Wrapper(), app.Monitor()) }()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if c.hangs {
				nc, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				fmt.Fprint(nc, "GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
				<-entered
				ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
			}
			if err := s.Shutdown(ctx); !errors.Is(err, c.want) {
				t.Errorf("Shutdown: %v, want %v", err, c.want)
			}
			if err := wait(t, served); !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

// waiting is a registry of one program: it takes its time to register, or notes when
// the program has deregistered.
type waiting struct {
	discovery.Driver
	hangs bool
	asked chan struct{}
	left  atomic.Pointer[time.Time]
}

func (d *waiting) Ping(context.Context) error { return nil }
func (d *waiting) Close() error               { return nil }
func (d *waiting) Register(ctx context.Context, _ discovery.Entry, _ func(discovery.Entry) bool) error {
	close(d.asked)
	if d.hangs {
		<-ctx.Done()
	}
	return ctx.Err()
}
func (d *waiting) Renew(context.Context, discovery.Entry) error { return nil }
func (d *waiting) Deregister(context.Context, discovery.Entry) error {
	now := time.Now()
	d.left.Store(&now)
	return nil
}
func (d *waiting) Watch(ctx context.Context, _ string, _ func(discovery.Update)) error {
	<-ctx.Done()
	return ctx.Err()
}
func (d *waiting) backend() platform.Option {
	return platform.WithDiscovery(discovery.WithDriver("waiting", func(context.Context) (discovery.Driver, error) { return d, nil }))
}

// A program that is told to stop while it registers has not failed.
func TestStopWhileRegistering(t *testing.T) {
	d := &waiting{hangs: true, asked: make(chan struct{})}
	r := made(t, []platform.Option{d.backend()})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { r.done <- r.Run(ctx, platform.HTTP("127.0.0.1:0", hello())) }()
	<-d.asked
	cancel()
	if err := wait(t, r.done); err != nil {
		t.Errorf("Run: %v, want nil", err)
	}
}

// Callers are given a second to hear that an instance has left before it refuses
// them: a registry that others read tells them with a delay.
func TestServersStopASecondAfterTheInstanceHasLeft(t *testing.T) {
	d := &waiting{asked: make(chan struct{})}
	s := &lasting{told: make(chan struct{}), over: make(chan struct{})}
	close(s.over)
	r := made(t, []platform.Option{d.backend()})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { r.done <- r.Run(ctx, s) }()
	<-d.asked
	cancel()
	<-s.told
	told := time.Now()
	if left := d.left.Load(); left == nil || told.Sub(*left) < time.Second {
		t.Errorf("deregistered at %v, the server stops at %v, want a second between", left, told)
	}
	if err := wait(t, r.done); err != nil {
		t.Error(err)
	}
}

// The client prefers instances of the program's own zone.
func TestZone(t *testing.T) {
	registry := discovery.NewRegistry()
	d, err := discovery.New(discovery.Memory(registry))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, zone := range []string{"east", "west"} {
		if _, err := d.Register(t.Context(), discovery.Instance{Service: "web", ID: zone, Zone: zone, Address: "127.0.0.1:1"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, zone := range []string{"", "east", "west"} {
		app := made(t, []platform.Option{
			platform.WithZone(zone), platform.WithDiscovery(discovery.Memory(registry)), platform.WithWrapper(wrapper.WithDrain(time.Millisecond)),
		})
		got := map[string]int{}
		for range 100 {
			p, err := app.Router().Pick(t.Context(), "web")
			if err != nil {
				t.Fatal(err)
			}
			got[p.Instance.ID]++
			p.Done(router.Outcome{Class: router.OK, Latency: time.Millisecond})
		}
		if zone == "" && (got["east"] < 20 || got["west"] < 20) || zone != "" && got[zone] < 90 {
			t.Errorf("in the zone %q: %v", zone, got)
		}
		if err := app.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// portless is a listener of a kind that has no port.
type portless struct{ net.Listener }

func (portless) Addr() net.Addr { return &net.UnixAddr{Name: "/run/greeter", Net: "unix"} }

// A listener may have no port, which nobody could be told to dial.
func TestAListenerWithoutAPort(t *testing.T) {
	for name, c := range map[string]struct {
		opts []platform.Option
		want string
	}{
		"its own address": {nil, "invalid"}, "another host": {[]platform.Option{platform.WithHost("localhost")}, "missing port"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			r := made(t, c.opts)
			err = r.Run(t.Context(), platform.Listener(portless{l}, platform.HTTP("", hello())))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Run: %v, want %q", err, c.want)
			}
			if l.Close() == nil {
				t.Error("the listener was left open")
			}
		})
	}
}

// broken is a server that fails by itself.
type broken struct{ err error }

func (b broken) Address() string { return "127.0.0.1:0" }
func (b broken) Serve(l net.Listener, _ *wrapper.Wrapper, _ monitor.Monitor) error {
	l.Close()
	return b.err
}
func (b broken) Shutdown(context.Context) error { return nil }

func TestServerThatFailsEndsRun(t *testing.T) {
	app, err := platform.New("greeter")
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("broken")
	if err := app.Run(t.Context(), platform.HTTP("127.0.0.1:0", hello()), platform.As("other", broken{cause})); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

// Whatever part can't be opened, New says which, and leaves nothing behind, which
// the leak check of this package sees.
func TestNewSaysWhichPartFails(t *testing.T) {
	cause := errors.New("engine is down")
	for name, opt := range map[string]platform.Option{
		"log":       platform.WithLog(log.WithDriver("x", func(context.Context) (log.Driver, error) { return nil, cause })),
		"trace":     platform.WithTrace(trace.WithDriver("x", func(context.Context) (trace.Driver, error) { return nil, cause })),
		"metrics":   platform.WithMetrics(metrics.WithDriver("x", func(context.Context) (metrics.Driver, error) { return nil, cause })),
		"monitor":   platform.WithMonitor(monitor.WithDriver("x", func(context.Context) (monitor.Driver, error) { return nil, cause })),
		"discovery": platform.WithDiscovery(discovery.WithDriver("x", func(context.Context) (discovery.Driver, error) { return nil, cause })),
		"auth":      platform.WithAuth(auth.WithDriver("x", func(context.Context) (auth.Driver, error) { return nil, cause })),
		"kv":        platform.WithKV(kv.WithDriver("x", func(context.Context) (kv.Driver, error) { return nil, cause })),
		"sync":      platform.WithSync(sync.WithDriver("x", func(context.Context) (sync.Driver, error) { return nil, cause })),
		"db":        platform.WithDB(db.WithDriver("x", func(context.Context) (db.Driver, error) { return nil, cause })),
		"event":     platform.WithEvent(event.WithDriver("x", func(context.Context, event.Settings) (event.Driver, error) { return nil, cause })),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := platform.New("greeter", opt); !errors.Is(err, cause) || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v", err)
			}
		})
	}
	for name, c := range map[string]struct {
		service string
		opts    []platform.Option
	}{
		"empty name":      {"", nil},
		"nil option":      {"greeter", []platform.Option{nil}},
		"no stop timeout": {"greeter", []platform.Option{platform.WithStopTimeout(0)}},
		"empty host":      {"greeter", []platform.Option{platform.WithHost("")}},
		"empty auth":      {"greeter", []platform.Option{platform.WithAuth()}},
		"router":          {"greeter", []platform.Option{platform.WithRouter(router.WithStrategy(nil))}},
		"config":          {"greeter", []platform.Option{platform.WithConfig(config.WithSource(nil))}},
		"wrapper":         {"greeter", []platform.Option{platform.WithWrapper(wrapper.WithSlow(-1))}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := platform.New(c.service, c.opts...); !errors.Is(err, platform.ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Parts are there without Run, and Close closes them once.
func TestPartsWithoutRun(t *testing.T) {
	logs := &lines{}
	app, err := platform.New("greeter", platform.WithLog(log.ToWriter(logs, log.JSON())))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	app.Logger("test").Info("here")
	if _, err := app.KV().Put(ctx, "a", []byte("1")); err != nil {
		t.Error(err)
	}
	if app.Auth() != nil {
		t.Error("auth without being asked for")
	}
	for range 2 {
		if err := app.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if _, err := app.KV().Get(ctx, "a"); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	ran := make(chan error, 1)
	go func() { ran <- app.Run(ctx, platform.HTTP("127.0.0.1:0", hello())) }()
	if err := wait(t, ran); !errors.Is(err, platform.ErrInvalid) || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Run after Close: %v", err)
	}
	if text := logs.String(); !strings.Contains(text, `"service.name":"greeter"`) || strings.Contains(text, "service.version") {
		t.Errorf("want the service's name and no version, which was not given: %s", text)
	}
}

// swallowing is a registry that accepts everything and answers nothing any more once
// it is silent.
type swallowing struct {
	waiting
	silent atomic.Bool
}

func (d *swallowing) answer(ctx context.Context) error {
	if !d.silent.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}
func (d *swallowing) Renew(ctx context.Context, _ discovery.Entry) error { return d.answer(ctx) }
func (d *swallowing) Deregister(ctx context.Context, _ discovery.Entry) error {
	return d.answer(ctx)
}

// slow is a server whose calls in progress take a while to end.
type slow struct {
	lasting
	calls time.Duration
}

func (s *slow) Shutdown(ctx context.Context) error {
	defer close(s.over)
	select {
	case <-time.After(s.calls):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hung is a store that does not close until it is told.
type hung struct {
	kv.Driver
	told chan struct{}
}

func (h hung) Close() error { <-h.told; return h.Driver.Close() }

// Nothing that does not answer makes Run take longer than WithStopTimeout says, or
// takes the time of the calls in progress. A registry that accepted everything and
// answered nothing took all of it, and 5 s more; a part that did not close, indefinitely.
func TestStopWithPartsThatDoNotAnswer(t *testing.T) {
	quiet := make(chan os.Signal, 1)      // outside of all bubbles: the first Notify starts a goroutine that stays
	signal.Notify(quiet, syscall.SIGALRM) // which nobody sends, and Windows has too
	defer signal.Stop(quiet)
	for name, c := range map[string]struct {
		silent, hangs bool
		takes         time.Duration
		says          []string
	}{
		"all answer":                  {false, false, 11 * time.Second, nil},
		"a silent registry":           {true, false, 21 * time.Second, []string{"deregister", "no answer within 5s"}},
		"a store that does not close": {false, true, 26 * time.Second, []string{"kv is not closed"}},
		"both":                        {true, true, 26 * time.Second, []string{"no answer within 5s", "kv is not closed", "discovery is not closed"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &swallowing{waiting: waiting{asked: make(chan struct{})}}
				memory, err := kv.NewMemoryDriver()
				if err != nil {
					t.Fatal(err)
				}
				store := hung{memory, make(chan struct{})}
				if !c.hangs {
					close(store.told)
				}
				app, err := platform.New("greeter", platform.WithLog(log.ToWriter(io.Discard, log.JSON())),
					platform.WithDiscovery(discovery.WithDriver("swallowing", func(context.Context) (discovery.Driver, error) { return d, nil })),
					platform.WithKV(kv.WithDriver("hung", func(context.Context) (kv.Driver, error) { return store, nil })))
				if err != nil {
					t.Fatal(err)
				}
				s := &slow{lasting{over: make(chan struct{})}, 10 * time.Second}
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- app.Run(ctx, s) }()
				<-d.asked
				synctest.Wait()
				d.silent.Store(c.silent)
				cancel()
				began := time.Now()
				err = <-ran
				if took := time.Since(began); took != c.takes {
					t.Errorf("Run took %s to stop, want %s", took, c.takes)
				}
				if (err == nil) != (len(c.says) == 0) {
					t.Errorf("Run: %v", err)
				}
				for _, want := range c.says {
					if !strings.Contains(fmt.Sprint(err), want) {
						t.Errorf("Run: %v, want %q in it", err, want)
					}
				}
				if !s.served.Load() || strings.Contains(fmt.Sprint(err), "greeter: shutdown") {
					t.Errorf("the calls in progress were cut off: %v", err)
				}
				if c.hangs {
					close(store.told)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}
