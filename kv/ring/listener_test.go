package ring

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/micro/go-platform/kv"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// onPort starts a registered node on the port of a server that mounts no
// handlers.
func (c *cluster) onPort(id string, serve func(net.Listener) error, stop func()) (n *testNode, l net.Listener) {
	c.Helper()
	n = c.start(id, quick)
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.Fatal(err)
	}
	l = n.Listener(below)
	done := make(chan error, 1)
	go func() { done <- serve(l) }()
	c.Cleanup(func() { stop(); <-done })
	c.enter(n, below.Addr().String())
	return n, l
}

// TestOnePortWithGRPCAndHTTP: two nodes meet on the ports of a gRPC and an HTTP
// server, which go on serving their own clients there.
func TestOnePortWithGRPCAndHTTP(t *testing.T) {
	c := newCluster(t)
	rpc := grpc.NewServer()
	healthpb.RegisterHealthServer(rpc, health.NewServer())
	a, la := c.onPort("a", rpc.Serve, rpc.Stop)
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
	})}
	b, lb := c.onPort("b", web.Serve, func() { web.Close() })
	c.settle()

	for i := range 20 {
		key := fmt.Sprint("key ", i)
		a.put(t, key, "v")
		if item, err := b.KV.Get(t.Context(), key); err != nil || string(item.Value) != "v" {
			t.Errorf("Get by the other node = %q, %v", item.Value, err)
		}
		if ids := c.heldBy(key); len(ids) != 2 {
			t.Errorf("%q is on %v, want both nodes", key, ids)
		}
	}
	cc, err := grpc.NewClient(la.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 3 {
		if r, err := healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{}); err != nil || r.Status != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("a call on the same port: %v, %v", r, err)
		}
	}
	client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for _, path := range []string{"/", "/.rin", "/.ringer", "/other"} {
		resp, err := client.Get("http://" + lb.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(text) != "GET "+path+" " {
			t.Errorf("GET %s on the same port: %q", path, text)
		}
	}
}

// TestStrangersOnThePort: who asks for the path of the ring and is no peer is
// answered, and who says nothing holds up neither others nor Close.
func TestStrangersOnThePort(t *testing.T) {
	c := newCluster(t)
	web := &http.Server{Handler: http.NotFoundHandler()}
	n, l := c.onPort("a", web.Serve, func() { web.Close() })
	c.settle()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	dial() // says nothing
	half := dial()
	if _, err := io.WriteString(half, "GET /.ri"); err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]int{
		"GET /.ring HTTP/1.1\r\nHost: x\r\n\r\n":   http.StatusUpgradeRequired,
		"GET /.ring HTTP/1.1\r\nnonsense\r\n\r\n":  http.StatusUpgradeRequired,
		"GET /.ring?x HTTP/1.1\r\nHost: x\r\n\r\n": http.StatusNotFound, // the server's own
		"POST /.ring HTTP/1.1\r\nHost: x\r\n\r\n":  http.StatusNotFound,
	} {
		conn := dial()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%q: %v", request, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q is answered %d, want %d", request, resp.StatusCode, want)
		}
	}
	if _, err := n.KV.Get(t.Context(), "x"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("Get beside strangers: %v", err)
	}
	closed := make(chan error, 1)
	go func() { closed <- l.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Errorf("Close: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Close waits for who says nothing")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v, want closed", err)
	}
}
