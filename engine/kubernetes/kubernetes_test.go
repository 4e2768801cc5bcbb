package kubernetes_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/kubernetes"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// Bad input is refused when an engine is opened, without a word of secrets.
func TestOpenRefuses(t *testing.T) {
	trust := kubernetes.WithTLS(&tls.Config{})
	for _, c := range []struct {
		addr string
		opts []kubernetes.Option
		ok   bool
	}{
		{"https://h:6443", nil, true},
		{"h", nil, true},
		{"kubernetes://h?namespace=shop", nil, true},
		{"https://h/prefix", nil, true}, // behind a proxy
		{"http://127.0.0.1:8001", nil, true},
		{"http://h", nil, true}, // nothing secret goes there
		{"https://h", []kubernetes.Option{kubernetes.WithToken("t"), trust, kubernetes.WithTimeout(1), kubernetes.WithRateLimit(1, 1)}, true},
		{"", nil, false},
		{"ftp://h", nil, false},
		{"https://bob:hunter2@h", nil, false},
		{"https://h?token=hunter2", nil, false},
		{"https://h?namespace=a&namespace=b", nil, false},
		{"https://h?namespace=A_B", nil, false},
		{"in-cluster", nil, false},
		{"kubeconfig://bob:hunter2@h/path", nil, false},
		{"kubeconfig:///no/such/file", nil, false},
		{"http://h", []kubernetes.Option{kubernetes.WithToken("hunter2")}, false},
		{"http://h", []kubernetes.Option{trust}, false},
		{"https://h", []kubernetes.Option{nil}, false},
		{"https://h", []kubernetes.Option{kubernetes.WithToken("")}, false},
		{"https://h", []kubernetes.Option{kubernetes.WithToken("hunter2\n")}, false},
		{"https://h", []kubernetes.Option{kubernetes.WithTokenFile("")}, false},
		{"https://h", []kubernetes.Option{kubernetes.WithToken("hunter2"), kubernetes.WithTokenFile("f")}, false},
		{"https://h", []kubernetes.Option{kubernetes.WithTLS(nil)}, false},
		{"https://h?context=c", nil, false}, // of a kubeconfig alone
		{"https://h", []kubernetes.Option{kubernetes.WithNamespace("")}, false},
		{"https://h", []kubernetes.Option{kubernetes.WithNamespace(strings.Repeat("n", 63))}, true},
		{"https://h", []kubernetes.Option{kubernetes.WithNamespace(strings.Repeat("n", 64))}, false},
		{"https://h", []kubernetes.Option{kubernetes.WithTimeout(-1)}, false},
		{"https://h", []kubernetes.Option{kubernetes.WithRateLimit(0, 1)}, false},
		{"https://h", []kubernetes.Option{kubernetes.WithRateLimit(1, 0)}, false},
		{"https://h", []kubernetes.Option{kubernetes.WithRateLimit(1e6, 1)}, true},
		{"https://h", []kubernetes.Option{kubernetes.WithRateLimit(1e6+1, 1)}, false},
	} {
		e, err := kubernetes.Open(c.addr, c.opts...)
		if err == nil {
			e.Close()
		}
		if (err == nil) != c.ok || err != nil && (!errors.Is(err, engine.ErrInvalid) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q: %v", c.addr, err)
		}
	}
	client := &http.Client{}
	for what, c := range map[string]struct {
		err  error
		says string
	}{
		"nothing": {second(kubernetes.FromClient("https://h", nil)), "nil client"},
		"a token": {second(kubernetes.FromClient("https://h", client, kubernetes.WithToken("hunter2"))), "tokens are matters of the client"},
		"TLS":     {second(kubernetes.FromClient("https://h", client, trust)), "TLS"},
		"no URL":  {second(kubernetes.FromClient("", client)), "empty address"},
	} {
		if !errors.Is(c.err, engine.ErrInvalid) || !strings.Contains(c.err.Error(), c.says) || strings.Contains(c.err.Error(), "hunter2") {
			t.Errorf("FromClient with %s: %v, want %q", what, c.err, c.says)
		}
	}
}

func second(_ *kubernetes.Engine, err error) error { return err }

func TestPing(t *testing.T) {
	k := servertest.SharedKubernetes(t)
	ca, err := os.ReadFile(k.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	trust := &tls.Config{RootCAs: roots}
	transport := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	bearer := roundTrip(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+servertest.KubeAdmin)
		return transport.RoundTrip(r)
	})
	open := func(addr string, opts ...kubernetes.Option) *kubernetes.Engine {
		e, err := kubernetes.Open(addr, opts...)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	given, err := kubernetes.FromClient(k.URL(), &http.Client{Transport: bearer})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		e    *kubernetes.Engine
		want error
	}{
		"a token":             {open(k.URL(), kubernetes.WithTLS(trust), kubernetes.WithToken(servertest.KubeAdmin)), nil},
		"a wrong token":       {open(k.URL(), kubernetes.WithTLS(trust), kubernetes.WithToken("wrong")), fault.Denied},
		"a stranger's server": {open(k.URL(), kubernetes.WithToken(servertest.KubeAdmin)), fault.Unavailable},
		"plain HTTP":          {open("http://" + k.Addr()), fault.Invalid},
		"nobody":              {open("https://127.0.0.1:1"), fault.Unavailable},
		"a client":            {given, nil},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		err := c.e.Ping(ctx)
		cancel()
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.e.String()) {
			t.Errorf("%s: %v, want %v and the address", what, err, c.want)
		}
		for range 2 {
			if err := c.e.Close(); err != nil {
				t.Errorf("%s: Close: %v", what, err)
			}
		}
		if err := c.e.Ping(t.Context()); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
	if resp, err := (&http.Client{Transport: bearer}).Get(k.URL() + "/version"); err != nil {
		t.Errorf("Close closed what was given: %v", err)
	} else {
		resp.Body.Close()
	}
	var none *kubernetes.Engine
	if _, err := none.Conn(); !errors.Is(err, fault.Invalid) {
		t.Errorf("a nil engine: %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
