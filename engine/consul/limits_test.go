package consul_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/consul"
)

// What is asked of an agent, and who is asked.
func TestOptionsReachTheAgent(t *testing.T) {
	var got *http.Request
	status := http.StatusOK
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.WriteHeader(status)
		w.Write([]byte(`"127.0.0.1:8300"`))
	}))
	defer agent.Close()
	host := strings.TrimPrefix(agent.URL, "http://")
	for _, c := range []struct {
		addr       string
		opts       []consul.Option
		token, dc  string
		answers    int
		kind       error
		secureOnly bool
	}{
		{addr: host, answers: 200},
		{addr: "consul://:theirs@" + host, token: "theirs", answers: 200},
		{addr: "consul://:theirs@" + host, opts: []consul.Option{consul.WithToken("mine"), consul.WithDatacenter("east")}, token: "mine", dc: "east", answers: 200},
		{addr: host, answers: 403, kind: engine.ErrDenied},
		{addr: host, answers: 500, kind: engine.ErrUnavailable},
		{addr: host, opts: []consul.Option{consul.WithTLS(&tls.Config{})}, answers: 200, kind: engine.ErrUnavailable, secureOnly: true},
	} {
		got, status = nil, c.answers
		e, err := consul.Open(c.addr, c.opts...)
		if err != nil {
			t.Fatal(err)
		}
		err = e.Ping(t.Context())
		if c.kind == nil && err != nil || c.kind != nil && (!errors.Is(err, c.kind) || !strings.HasPrefix(err.Error(), "engine/consul: ping: ")) {
			t.Errorf("%s: %v, want %v", c.addr, err, c.kind)
		}
		switch {
		case c.secureOnly:
			if got != nil {
				t.Errorf("%s: asked in clear", c.addr)
			}
		case got == nil || got.Header.Get("X-Consul-Token") != c.token || got.URL.Query().Get("dc") != c.dc:
			t.Errorf("%s: asked %+v, want the token %q and the datacenter %q", c.addr, got, c.token, c.dc)
		}
		if e.Client() == nil {
			t.Errorf("%s: no client", c.addr)
		}
		if err := errors.Join(e.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	}
	client, err := api.NewClient(&api.Config{Address: host})
	if err != nil {
		t.Fatal(err)
	}
	status = http.StatusOK
	own := consul.FromClient(client)
	if err := errors.Join(own.Ping(t.Context()), own.Close()); err != nil || own.Client() != client {
		t.Errorf("a client of your own: %v", err)
	}
	none := consul.FromClient(nil)
	if err := none.Ping(t.Context()); !errors.Is(err, engine.ErrInvalid) || none.Client() != nil || none.Close() != nil {
		t.Errorf("no client: %v", err)
	}
}
