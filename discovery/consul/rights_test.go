package consul_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/internal/servertest"
)

// refusing starts a proxy before an agent that refuses the requests whose method and
// path begin as one of those.
func refusing(t *testing.T, addr string, requests ...string) string {
	t.Helper()
	transport := &http.Transport{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	proxy.Transport, proxy.ErrorLog = transport, log.New(io.Discard, "", 0)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, what := range requests {
			if strings.HasPrefix(r.Method+" "+r.URL.Path, what) {
				http.Error(w, "Permission denied", http.StatusForbidden)
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.Close(); transport.CloseIdleConnections() })
	return s.URL
}

// TestRights: what a token may not do is said by what needs it, and by nothing else.
func TestRights(t *testing.T) {
	t.Parallel()
	addr := servertest.Consul(t).Addr()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	admin, err := api.NewClient(&api.Config{Address: addr, HttpClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	dead := &api.AgentServiceRegistration{Name: "dead", Port: 1, Check: &api.AgentServiceCheck{TTL: "1h", Status: api.HealthCritical}}
	if err := admin.Agent().ServiceRegister(dead); err != nil {
		t.Fatal(err)
	}
	for what, fails := range map[string]string{
		"nothing":                          "",
		"PUT /v1/agent/service/register":   "register",
		"GET /v1/health/service/":          "register get services",
		"GET /v1/agent/service/":           "update deregister",
		"PUT /v1/agent/check/update/":      "update",
		"PUT /v1/agent/service/deregister": "deregister",
		"GET /v1/catalog/services":         "services",
		"GET /v1/health/state/critical":    "services",
		"GET /v1/health/state/any":         "get", // of the one query for all
	} {
		d, err := discovery.New(consul.Backend(refusing(t, addr, what), consul.WithQueries(0)),
			discovery.WithTTL(time.Minute), discovery.WithTimeout(backendtest.Patience))
		if err != nil {
			t.Fatal(err)
		}
		denied := backendtest.Without(t, what)
		id := strings.Map(func(r rune) rune {
			if strings.ContainsRune(" /", r) {
				return '-'
			}
			return r
		}, what)
		r, err := d.Register(t.Context(), discovery.Instance{Service: "s", ID: id, Address: "127.0.0.1:80"})
		denied.Note("register", err)
		if err == nil {
			denied.Note("update", r.Update(t.Context(), func(in *discovery.Instance) { in.Version = "2" }))
		}
		_, err = d.Get(t.Context(), "s")
		denied.Note("get", err)
		names, err := d.Services(t.Context())
		denied.Note("services", err)
		if err == nil && (slices.Contains(names, "dead") || r != nil && !slices.Contains(names, "s")) {
			t.Errorf("without %s: the services are %v", what, names)
		}
		if r != nil {
			denied.Note("deregister", r.Deregister(t.Context()))
		}
		denied.Want(fails)
		_ = d.Close() // what could not be deregistered is said again
	}
}
