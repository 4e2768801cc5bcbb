package wrapper_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/wrapper"
)

// authority signs the certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &authority{c, key}
}

// serve starts a server that shows a certificate for the names, and for
// 127.0.0.1, where all servers are.
func (a *authority) serve(t *testing.T, uri string, names ...string) *httptest.Server {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if uri != "" {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		c.URIs = []*url.URL{u}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.TLS.ServerName) }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: a.key}}}
	s.EnableHTTP2 = true
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// https://greeter is checked against a certificate of greeter, not of the
// address of whichever instance was picked.
func TestCertificateIsThatOfTheService(t *testing.T) {
	const id, revoked = "spiffe://example.org/greeter", "revoked"
	us, strangers := newAuthority(t), newAuthority(t)
	identity := func(s string) wrapper.Option { return wrapper.WithIdentity(func(string) string { return s }) }
	for name, c := range map[string]struct {
		srv  *httptest.Server
		opts []wrapper.Option
		good bool
	}{
		"its name":            {us.serve(t, "", "greeter"), nil, true},
		"another's name":      {us.serve(t, "", "other"), nil, false},
		"the address alone":   {us.serve(t, ""), nil, false},
		"not our authority":   {strangers.serve(t, id, "greeter"), nil, false},
		"expected name":       {us.serve(t, "", "greeter.prod.example"), []wrapper.Option{identity("greeter.prod.example")}, true},
		"expected other name": {us.serve(t, "", "greeter"), []wrapper.Option{identity("greeter.prod.example")}, false},
		"no expectation":      {us.serve(t, "", "greeter"), []wrapper.Option{identity("")}, true},
		"uri":                 {us.serve(t, id), []wrapper.Option{identity(id)}, true},
		"another's uri":       {us.serve(t, id+"2"), []wrapper.Option{identity(id)}, false},
		"name instead of uri": {us.serve(t, "", "greeter"), []wrapper.Option{identity(id)}, false},
		"uri of strangers":    {strangers.serve(t, id), []wrapper.Option{identity(id)}, false},
		"uri, theirs says no": {us.serve(t, id, revoked), []wrapper.Option{identity(id)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			roots := x509.NewCertPool()
			roots.AddCert(us.cert)
			base := http.DefaultTransport.(*http.Transport).Clone()
			base.TLSClientConfig = &tls.Config{RootCAs: roots, VerifyConnection: func(cs tls.ConnectionState) error {
				if slices.Contains(cs.PeerCertificates[0].DNSNames, revoked) {
					return errors.New(revoked)
				}
				return nil
			}}
			w := newWrapper(t, append(c.opts, wrapper.WithRouter(instances(c.srv.Listener.Addr().String())), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1}))...)
			client := &http.Client{Transport: w.Transport(base)}
			defer client.CloseIdleConnections()
			for range 2 {
				code, err := send(t, client, "GET", "https://greeter/")
				if (err == nil) != c.good {
					t.Errorf("got %d, %v; want it accepted: %v", code, err, c.good)
				}
			}
			// What is called by its address is checked against that, as ever.
			if c.good {
				if _, err := send(t, client, "GET", c.srv.URL); err != nil {
					t.Errorf("by its address: %v", err)
				}
			}
		})
	}
}

// pool trusts the authority alone.
func (a *authority) pool() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return roots
}

// Each service has connections of its own over TLS. They are closed with the others
// that are idle, and when so many services were called since that it is forgotten.
func TestConnectionsOfServicesAreClosed(t *testing.T) {
	us := newAuthority(t)
	srv := us.serve(t, "", "greeter")
	for name, c := range map[string]struct {
		idle   bool // CloseIdleConnections
		others int
		closed bool
	}{"kept": {}, "idle": {idle: true, closed: true}, "among others": {others: 1000}, "forgotten": {others: 1100, closed: true}} {
		var dials, closed atomic.Int64
		broken := false
		base := http.DefaultTransport.(*http.Transport).Clone()
		base.TLSClientConfig = &tls.Config{RootCAs: us.pool()}
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if broken {
				return nil, io.ErrUnexpectedEOF
			}
			dials.Add(1)
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return &onCloseConn{Conn: conn, f: func() { closed.Add(1) }}, err
		}
		w := newWrapper(t, wrapper.WithRouter(instances(srv.Listener.Addr().String())), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1}))
		client := &http.Client{Transport: w.Transport(base)}
		for range 2 {
			if _, err := send(t, client, "GET", "https://greeter/"); err != nil {
				t.Fatal(err)
			}
		}
		broken = true
		for i := range c.others {
			if _, err := send(t, client, "GET", fmt.Sprintf("https://s%d/", i)); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
		}
		broken = false
		closes := func(n int64) func() bool { // it is idle a moment after the call
			return func() bool { client.CloseIdleConnections(); return closed.Load() == n }
		}
		switch {
		case c.idle:
			poll(t, "the idle connection to be closed", closes(1))
		case c.closed:
			poll(t, "the connection to be closed", func() bool { return closed.Load() == 1 })
		}
		if _, err := send(t, client, "GET", "https://greeter/"); err != nil {
			t.Fatal(err)
		}
		want := map[bool]int64{false: 1, true: 2}[c.closed]
		if dials.Load() != want {
			t.Errorf("%s: dialled %d times for three calls, want %d", name, dials.Load(), want)
		}
		poll(t, "all connections to be closed", closes(want))
	}
}

// onCloseConn is a connection that says when it is closed first.
type onCloseConn struct {
	net.Conn
	f    func()
	once sync.Once
}

func (c *onCloseConn) Close() error {
	c.once.Do(c.f)
	return c.Conn.Close()
}
