package checks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Func is Check.Func.
type Func = func(ctx context.Context) error

// TCP connects to "host:port" and closes the connection.
func TCP(addr string) Func {
	return func(ctx context.Context) error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

// drained is how much of an answer HTTP reads so that its connection can be used
// again, in bytes.
const drained = 64 << 10

// HTTP sends a GET and wants a status from 200 to 299, after redirects. client
// is http.DefaultClient unless one is given.
func HTTP(url string, client ...*http.Client) Func {
	return func(ctx context.Context) error {
		c := http.DefaultClient
		if len(client) > 0 && client[0] != nil {
			c = client[0]
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := c.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		io.CopyN(io.Discard, resp.Body, drained)
		if resp.StatusCode < 200 || resp.StatusCode > 299 {
			return fmt.Errorf("GET %s: %s", r.URL.Redacted(), resp.Status)
		}
		return nil
	}
}

// DNS resolves a name to at least one address. Most resolvers cache, so it says
// that names resolve, not that the name's own servers answer.
func DNS(host string) Func {
	return func(ctx context.Context) error {
		found, err := net.DefaultResolver.LookupHost(ctx, host)
		if err == nil && len(found) == 0 {
			err = errors.New("no address of " + host)
		}
		return err
	}
}
