package kubernetes_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"sync/atomic"
	"testing"

	"github.com/micro/go-platform/internal/servertest"
)

// gate stands before the API server, as kubectl proxy does, and can keep one
// request on its way: it passes it on late, whatever became of who sent it.
type gate struct {
	addr  string
	catch atomic.Pointer[func(*http.Request) bool]
	came  chan struct{} // a request was caught
	pass  chan struct{} // closed: go on
	went  chan int      // the status of its answer
}

func newGate(t *testing.T, k *servertest.KubeServer, namespace string) *gate {
	t.Helper()
	ca, err := os.ReadFile(k.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	target, err := url.Parse(k.URL())
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{came: make(chan struct{}), pass: make(chan struct{}), went: make(chan int, 1)}
	proxy := &httputil.ReverseProxy{Transport: tr, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Set("Authorization", "Bearer "+servertest.KubeAdmin)
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if catch := g.catch.Load(); catch != nil && (*catch)(r) && g.catch.CompareAndSwap(catch, nil) {
			late := httptest.NewRecorder()
			body := http.MaxBytesReader(w, r.Body, 1<<20)
			held := r.Clone(t.Context()) // lives on when the client leaves
			held.Body = http.NoBody
			if text := readAll(t, body); len(text) > 0 {
				held.Body, held.ContentLength = reader(text), int64(len(text))
			}
			close(g.came)
			go func() {
				<-g.pass
				proxy.ServeHTTP(late, held)
				g.went <- late.Code
			}()
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		tr.CloseIdleConnections()
	})
	g.addr = server.URL + "?namespace=" + namespace
	return g
}

// hold catches the next request that is as wanted.
func (g *gate) hold(wanted func(r *http.Request) bool) { g.catch.Store(&wanted) }
