package consul

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// stagger is how long a connection attempt may take before the next agent is
// tried beside it: a dead one costs no more.
const stagger = 150 * time.Millisecond

// dialer connects to whichever of several agents answers, the last good one
// first.
type dialer struct {
	hosts   []string
	current atomic.Uint32
	net     net.Dialer
}

func newDialer(hosts []string, timeout time.Duration) *dialer {
	return &dialer{hosts: hosts, net: net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}}
}

// dialError marks what failed before anything was sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// advance gives up the current agent.
func (d *dialer) advance() { d.current.Add(1) }

func (d *dialer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return d.race(ctx, func(ctx context.Context, host string) (net.Conn, error) {
		return d.net.DialContext(ctx, network, host)
	})
}

// dialTLS verifies each agent by its own name, unless the configuration has one.
func (d *dialer) dialTLS(config *tls.Config) func(ctx context.Context, network, _ string) (net.Conn, error) {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.race(ctx, func(ctx context.Context, host string) (net.Conn, error) {
			t := tls.Dialer{NetDialer: &d.net, Config: config}
			return t.DialContext(ctx, network, host)
		})
	}
}

type dialed struct {
	at   uint32
	conn net.Conn
	err  error
}

// race dials the current agent, and the next one when an attempt fails or is
// slow. The first connection wins; late ones are closed.
func (d *dialer) race(ctx context.Context, dial func(context.Context, string) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n := len(d.hosts)
	results := make(chan dialed, n)
	first := d.current.Load()
	started, done := 0, 0
	start := func() {
		at := first + uint32(started)
		started++
		go func() {
			c, err := dial(ctx, d.hosts[int(at)%n])
			results <- dialed{at, c, err}
		}()
	}
	timer := time.NewTimer(stagger)
	defer timer.Stop()
	start()
	var errFirst error
	for {
		select {
		case r := <-results:
			done++
			if r.err == nil {
				d.current.CompareAndSwap(first, r.at)
				go closeRest(results, started-done)
				return r.conn, nil
			}
			if errFirst == nil {
				errFirst = r.err
			}
			if started < n {
				start()
				timer.Reset(stagger)
			} else if done == n {
				if n > 1 {
					errFirst = fmt.Errorf("none of %d agents can be reached, the first: %w", n, errFirst)
				}
				return nil, &dialError{errFirst}
			}
		case <-timer.C:
			if started < n {
				start()
				timer.Reset(stagger)
			}
		case <-ctx.Done():
			go closeRest(results, started-done)
			return nil, &dialError{ctx.Err()}
		}
	}
}

func closeRest(results <-chan dialed, n int) {
	for range n {
		if r := <-results; r.conn != nil {
			r.conn.Close()
		}
	}
}
