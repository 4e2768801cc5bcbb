package ring

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
)

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// knock begins a handshake as a peer does, up to the proof.
func knock(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	req, err := http.NewRequest(http.MethodGet, "http://"+address+"/.ring", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocol)
	req.Header.Set(fromHeader, strings.Repeat("b", 10_000))
	req.Header.Set(nonceHeader, nonce())
	err = req.Write(conn)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	_, err = http.ReadResponse(r, req)
	if err != nil {
		t.Fatal(err)
	}
	return conn, r
}

// Strangers who begin and say no more are cut off by time, not by what they do.
func TestStrangersWhoSayNothingAreCutOff(t *testing.T) {
	leak.Check(t)
	c := newCluster(t)
	address := c.start("a").server.Listener.Addr().String()
	before := runtime.NumGoroutine()
	start := time.Now()
	var group sync.WaitGroup
	for i := range 100 {
		conn, r := knock(t, address)
		group.Go(func() {
			defer conn.Close()
			if i%2 == 0 {
				_, _ = conn.Write(make([]byte, 31)) // all but the last byte
			}
			_, err := io.ReadAll(r)
			if took := time.Since(start); took < shakeWithin-time.Second || err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("stranger %d: %v after %v", i, err, took)
			}
		})
	}
	group.Wait()
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before+5; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines became %d", before, runtime.NumGoroutine())
		}
	}
}

// Strangers who try to join a ring again and again leave a few lines.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	leak.Check(t)
	var out lockedBuffer
	c := newCluster(t)
	n := c.start("a", WithLogger(slog.New(slog.NewTextHandler(&out, nil))))
	address := n.server.Listener.Addr().String()
	for range 50 {
		conn, r := knock(t, address)
		_, _ = conn.Write(make([]byte, 32)) // no proof
		_, _ = io.ReadAll(r)                // until it is refused
		conn.Close()
	}
	log := out.String()
	if n := strings.Count(log, "without the key was refused"); n != 5 || len(log) > 5000 {
		t.Errorf("50 strangers left %d lines of %d bytes, want 5 short ones", n, len(log))
	}
}
