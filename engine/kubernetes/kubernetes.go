package kubernetes

import (
	"context"
	"errors"
	"net/http"

	"github.com/micro/go-platform/internal/conn"
	inner "github.com/micro/go-platform/internal/conn/kubernetes"
	"github.com/micro/go-platform/internal/fault"
)

// Engine is a connection to one API server, with one identity. It is safe for
// concurrent use, and as many backends as the program wants may share it: they
// share its connection, its rate limit, and one watch for each resource.
type Engine struct{ conn *inner.Conn }

// Open checks the address and the options and reads the files that they name. It
// connects to nothing: Ping does, and New of the packages. The error is
// engine.ErrInvalid.
//
//	in-cluster                        the pod's service account
//	kubeconfig:/home/me/.kube/config  a kubeconfig; its current context, or ?context=staging
//	kubeconfig:                       the one of $KUBECONFIG, else ~/.kube/config
//	https://10.0.0.1:6443             an API server, with WithToken, WithTokenFile or WithTLS
//	http://127.0.0.1:8001             "kubectl proxy"
//
// kubernetes://in-cluster and kubernetes://host:6443 mean the first and the
// fourth. ?namespace=shop after any form with a scheme does what WithNamespace does.
//
// A service account's token and certificates in files are read again when they
// may have been renewed. Of a kubeconfig, tokens, client certificates, exec
// plugins, impersonation and proxy-url are used; a server's certificate goes
// unchecked only where the file says insecure-skip-tls-verify.
func Open(addr string, opts ...Option) (*Engine, error) {
	return open(inner.Config{Address: addr}, opts)
}

// FromClient uses the caller's HTTP client, which has the credentials, for the
// API server at an https URL: for instance that of client-go's
// rest.HTTPClientFor. Close leaves it open. WithTLS, WithToken and
// WithTokenFile are errors: these are the client's matters.
func FromClient(url string, c *http.Client, opts ...Option) (*Engine, error) {
	if c == nil {
		return nil, fault.New(fault.Invalid, "engine/kubernetes", "open", "", "nil client")
	}
	return open(inner.Config{URL: url, Client: c}, opts)
}

func open(c inner.Config, opts []Option) (*Engine, error) {
	c, err := conn.Apply(c, opts)
	if err == nil && c.Client != nil && (c.TLS != nil || c.Token != "" || c.TokenFile != "") {
		err = errors.New("TLS and tokens are matters of the client that was given")
	}
	var k *inner.Conn
	if err == nil {
		k, err = inner.Open(c)
	}
	if err != nil && fault.KindOf(err) == nil {
		err = fault.Mark(fault.Invalid, err)
	}
	if err != nil {
		return nil, fault.Wrap("engine/kubernetes", "open", "", err)
	}
	return &Engine{k}, nil
}

// Ping asks the API server for its version. The error is engine.ErrUnavailable,
// or engine.ErrDenied if the server refuses the credentials, and names the
// address.
func (e *Engine) Ping(ctx context.Context) error {
	return fault.Wrap("engine/kubernetes", "ping", "", e.conn.Ping(ctx))
}

// Namespace returns the namespace that is meant where none is named: that of
// WithNamespace, of the address, of the pod or the context, or "default".
func (e *Engine) Namespace() string { return e.conn.Namespace() }

// String returns where the API server is, without secrets.
func (e *Engine) String() string { return e.conn.Address() }

// Close ends all watches and closes the connection, but not a client that was
// given. It may be called again.
func (e *Engine) Close() error { return e.conn.Close() }

// Conn is how the backends of this module reach the connection.
func (e *Engine) Conn() (*inner.Conn, error) {
	if e == nil {
		return nil, fault.Markf(fault.Invalid, "nil engine")
	}
	return e.conn, nil
}
