package kubernetes

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// configMap is an object with little in it.
type configMap struct {
	Meta `json:"metadata"`
	Data map[string]string `json:"data,omitempty"`
}

func (c *configMap) ObjectMeta() *Meta { return &c.Meta }

var configMaps = Resource{Version: "v1", Kind: "ConfigMap", Plural: "configmaps"}

func named(name string, data map[string]string) *configMap {
	return &configMap{Meta: Meta{Name: name}, Data: data}
}

// open opens an engine as the admin of the shared server, by its own address or
// that of a proxy, and returns it with a namespace of its own.
func open(t *testing.T, addr string, change func(*Config)) (*Conn, Resource) {
	t.Helper()
	k := servertest.SharedKubernetes(t)
	if addr == "" {
		addr = k.Addr()
	}
	ns := k.Namespace(t)
	c := Config{Address: "kubeconfig:" + k.Kubeconfig(t, addr, servertest.KubeAdmin, ns)}
	if change != nil {
		change(&c)
	}
	conn, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, configMaps.In(conn.Namespace())
}

func is(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) || fault.KindOf(kind) != nil && fault.KindOf(err) != kind {
		t.Errorf("%s: got %v, want %v", what, err, kind)
	}
}

// write writes a file of the test.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	err := os.WriteFile(path, []byte(text), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// transported is the transport of an engine, between which and the engine a test
// stands.
type transported struct {
	http.RoundTripper
	watches atomic.Int64
	calls   atomic.Int64
	before  func(*http.Request) *http.Response // an answer in the server's place, or nil
}

func (w *transported) RoundTrip(r *http.Request) (*http.Response, error) {
	w.calls.Add(1)
	if r.URL.Query().Get("watch") != "" {
		w.watches.Add(1)
	}
	if w.before != nil {
		if resp := w.before(r); resp != nil {
			return resp, nil
		}
	}
	return w.RoundTripper.RoundTrip(r)
}

// between puts a transported into an engine.
func between(c *Conn, before func(*http.Request) *http.Response) *transported {
	w := &transported{RoundTripper: c.client.Transport, before: before}
	c.client.Transport = w
	return w
}
