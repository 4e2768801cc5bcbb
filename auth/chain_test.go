package auth_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/micro/go-platform/auth"
)

// edge calls orders, which calls billing: what billing sees of alice.
func TestChainOfServices(t *testing.T) {
	for mode, want := range map[auth.Mode]struct{ caller, nobody string }{
		auth.Own:      {"orders", "orders"},
		auth.Exchange: {"alice through orders through edge", "edge through orders"},
	} {
		local := auth.NewAuthority()
		base := http.DefaultTransport.(*http.Transport).Clone()
		client := func(a auth.Auth, to string) *http.Client {
			d := auth.Destination{Audience: to, Mode: mode}
			return &http.Client{Transport: auth.Transport(a, base, auth.WithDestination(func(*http.Request) (auth.Destination, bool) { return d, true }))}
		}
		serve := func(name string, h http.HandlerFunc) (auth.Auth, string) {
			a, err := auth.New(auth.Local(local), auth.WithService(name), auth.WithRules(auth.AllowAuthenticated()))
			if err != nil {
				t.Fatal(err)
			}
			srv := httptest.NewServer(auth.Handler(a, h))
			t.Cleanup(func() { base.CloseIdleConnections(); srv.Close(); a.Close() })
			return a, srv.URL
		}
		_, billing := serve("billing", func(w http.ResponseWriter, r *http.Request) {
			who, _ := auth.FromContext(r.Context())
			fmt.Fprint(w, who.Subject)
			for act, _ := who.Claims["act"].(map[string]any); act != nil; act, _ = act["act"].(map[string]any) {
				fmt.Fprint(w, " through ", act["sub"])
			}
		})
		pass := func(w http.ResponseWriter, r *http.Request, c *http.Client, to string) {
			out, _ := http.NewRequestWithContext(r.Context(), "GET", to, nil)
			resp, err := c.Do(out)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			io.Copy(w, resp.Body)
		}
		var ordersAuth auth.Auth
		ordersAuth, orders := serve("orders", func(w http.ResponseWriter, r *http.Request) { pass(w, r, client(ordersAuth, "billing"), billing) })
		var edgeAuth auth.Auth
		edgeAuth, edge := serve("edge", func(w http.ResponseWriter, r *http.Request) { pass(w, r, client(edgeAuth, "orders"), orders) })

		alice, err := local.Issue("alice", "edge", nil)
		if err != nil {
			t.Fatal(err)
		}
		r, _ := http.NewRequestWithContext(t.Context(), "GET", edge, nil)
		r.Header.Set("Authorization", "Bearer "+string(alice.AccessToken))
		resp, err := (&http.Client{Transport: base}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(got) != want.caller {
			t.Errorf("mode %d: billing sees %q, want %q", mode, got, want.caller)
		}
		// edge on its own behalf: nobody called it.
		r, _ = http.NewRequestWithContext(t.Context(), "GET", orders, nil)
		resp, err = client(edgeAuth, "orders").Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, _ = io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(got) != want.nobody {
			t.Errorf("mode %d, nobody's behalf: billing sees %q, want %q", mode, got, want.nobody)
		}
	}
}
