package soak

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// traffic is the loads of auth, router and wrapper.
func traffic() []load {
	return []load{
		{"auth", nil, func(t *testing.T, _ string) call {
			authority := auth.NewAuthority()
			orders := must[auth.Auth](t)(auth.New(auth.Local(authority), auth.WithService("orders"),
				auth.WithRules(auth.Rule{ID: "all", Effect: auth.Allow, Subjects: []string{"*"}})))
			front := must[auth.Auth](t)(auth.New(auth.Local(authority), auth.WithService("front")))
			t.Cleanup(func() { orders.Close(); front.Close() })
			return func(ctx context.Context, n int64) error {
				token, err := front.Token(ctx, auth.Audience("orders"), auth.Scopes(fmt.Sprint("s", n%500)))
				if err != nil {
					return err
				}
				ctx = auth.ContextWithCredential(ctx, auth.Credential{Value: token.AccessToken})
				if _, err := orders.Authorized(ctx, auth.Request{Service: "orders", Action: "GET", Resource: fmt.Sprint("/", n)}); err != nil {
					return err
				}
				if n%2 == 0 {
					// forgotten two seconds later: a revocation outlives its token by MaxLeeway
					return orders.Revoke(ctx, &auth.Token{ID: fmt.Sprint(n), ExpiresAt: time.Now().Add(2*time.Second - auth.MaxLeeway)})
				}
				return nil
			}
		}},
		{"router and wrapper", receiver, func(t *testing.T, addr string) call {
			d := must[discovery.Discovery](t)(discovery.New(static.Backend(
				discovery.Instance{ID: "a", Service: "s", Address: addr}, discovery.Instance{ID: "b", Service: "s", Address: receiver(t)})))
			t.Cleanup(func() { d.Close() })
			r := must[router.Router](t)(router.New(router.WithDiscovery(d)))
			closing(t, r.Close)
			m := must[metrics.Metrics](t)(metrics.New())
			w := must[*wrapper.Wrapper](t)(wrapper.New(wrapper.WithName("soak"), wrapper.WithRouter(r), wrapper.WithMetrics(m)))
			closing(t, w.Close)
			client := w.Client()
			return func(ctx context.Context, n int64) error {
				req, err := http.NewRequestWithContext(ctx, "GET", "http://s/x", nil)
				if err != nil {
					return err
				}
				resp, err := client.Do(req)
				if err != nil {
					return err
				}
				io.Copy(io.Discard, resp.Body)
				return resp.Body.Close()
			}
		}},
	}
}
