package wrapper_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/wrapper"
)

// pipes is a listener whose connections are made by dial, in memory: net/http
// speaks its protocol over them on a fake clock.
type pipes struct {
	made   chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.made <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestCallsWithoutADeadlineAreBounded(t *testing.T) {
	const never = -1
	for name, c := range map[string]struct {
		opts          []wrapper.Option
		deadline      time.Duration // of the caller's context; 0: none
		headers, body time.Duration // when they come
		want          time.Duration // when the caller has it all, or the error
		ok            bool
	}{
		"headers just in time":          {headers: 29999 * time.Millisecond, body: 29999 * time.Millisecond, want: 29999 * time.Millisecond, ok: true},
		"headers too late":              {headers: 30001 * time.Millisecond, body: time.Minute, want: 30 * time.Second},
		"a body may take longer":        {headers: time.Second, body: time.Hour, want: time.Hour, ok: true},
		"no answer":                     {headers: never, want: 30 * time.Second},
		"a deadline that is later":      {deadline: time.Minute, headers: 31 * time.Second, body: 32 * time.Second, want: 32 * time.Second, ok: true},
		"a deadline that is sooner":     {deadline: time.Second, headers: never, want: time.Second},
		"no timeout":                    {opts: []wrapper.Option{wrapper.WithClientTimeout(wrapper.NoTimeout)}, headers: time.Hour, body: 2 * time.Hour, want: 2 * time.Hour, ok: true},
		"no timeout, but a deadline":    {opts: []wrapper.Option{wrapper.WithClientTimeout(wrapper.NoTimeout)}, deadline: time.Hour, headers: never, want: time.Hour},
		"a timeout bounds the body":     {opts: []wrapper.Option{wrapper.WithClientTimeout(5 * time.Second)}, headers: time.Second, body: 6 * time.Second, want: 5 * time.Second},
		"a timeout that is longer":      {opts: []wrapper.Option{wrapper.WithClientTimeout(time.Minute)}, headers: 31 * time.Second, body: 59 * time.Second, want: 59 * time.Second, ok: true},
		"of a policy":                   {opts: []wrapper.Option{wrapper.WithPolicies(wrapper.Policy{Timeout: 3 * time.Second})}, headers: never, want: 3 * time.Second},
		"of a policy for somebody else": {opts: []wrapper.Option{wrapper.WithPolicies(wrapper.Policy{Service: "x", Timeout: 3 * time.Second})}, headers: never, want: 30 * time.Second},
	} {
		for _, method := range []string{"GET", "POST"} { // sent again within the bound, or not
			t.Run(name+" "+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPipes()
					srv := &http.Server{ErrorLog: quiet(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						until := func(d time.Duration) bool {
							if d == never {
								<-r.Context().Done()
								return false
							}
							select {
							case <-time.After(d):
								return true
							case <-r.Context().Done():
								return false
							}
						}
						if !until(c.headers) {
							return
						}
						w.(http.Flusher).Flush()
						if until(c.body - c.headers) {
							io.WriteString(w, "done")
						}
					})}
					go srv.Serve(p)
					w, err := wrapper.New(append(c.opts, wrapper.WithName("orders"))...)
					if err != nil {
						t.Fatal(err)
					}
					base := &http.Transport{DialContext: p.dial}
					client := &http.Client{Transport: w.Transport(base)}
					ctx := t.Context()
					if c.deadline > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, c.deadline)
						defer cancel()
					}
					begun := time.Now()
					q, err := http.NewRequestWithContext(ctx, method, "http://greeter.example/", nil)
					if err != nil {
						t.Fatal(err)
					}
					body, err := answered(client, q)
					took := time.Since(begun)
					if took != c.want || (err == nil) != c.ok || c.ok != (body == "done") {
						t.Errorf("got %q, %v after %v, want it after %v", body, err, took, c.want)
					}
					var timeout interface{ Timeout() bool }
					if !c.ok && (!errors.As(err, &timeout) || !timeout.Timeout()) {
						t.Errorf("got %v, want one of which Timeout is true", err)
					}
					if err := w.Close(ctx); err != nil && c.deadline == 0 {
						t.Error(err)
					}
					base.CloseIdleConnections()
					srv.Close()
				})
			})
		}
	}
}
