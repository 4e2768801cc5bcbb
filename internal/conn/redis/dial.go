package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// dialer makes connections that calls can interrupt, with TLS if t is given.
func dialer(cs *calls, t *tls.Config, timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout, KeepAlive: time.Minute}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if t == nil {
			c := &link{Conn: nc, calls: cs}
			if s, ok := nc.(syscall.Conn); ok {
				return &plainLink{c, s}, nil
			}
			return c, nil
		}
		secured, err := secure(ctx, nc, t, addr, timeout)
		if err != nil {
			nc.Close()
			return nil, &net.OpError{Op: "dial", Net: network, Addr: nc.RemoteAddr(), Err: err}
		}
		return &link{Conn: secured, calls: cs}, nil
	}
}

// secure does the handshake. A server without TLS on the port answers something
// else, or waits for the end of a line.
func secure(ctx context.Context, nc net.Conn, t *tls.Config, addr string, timeout time.Duration) (net.Conn, error) {
	if t.ServerName == "" && !t.InsecureSkipVerify {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		t = t.Clone()
		t.ServerName = host
	}
	c := tls.Client(nc, t)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := c.HandshakeContext(ctx)
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case plain, errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("no TLS handshake with the server: does the port expect TLS? %w", err)
	case err != nil:
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return c, nil
}

// named tells the server who its connection is from. A user who may not do that
// goes on without.
func named(name string) func(context.Context, *redis.Conn) error {
	return func(ctx context.Context, cn *redis.Conn) error {
		err := cn.ClientSetName(ctx, name).Err()
		if _, refused := errors.AsType[redis.Error](err); refused {
			return nil
		}
		return err
	}
}
