package ring

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
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

// Strangers who try to join a ring again and again leave a few lines.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	leak.Check(t)
	var out lockedBuffer
	c := newCluster(t)
	n := c.start("a", WithLogger(slog.New(slog.NewTextHandler(&out, nil))))
	address := n.server.Listener.Addr().String()
	for range 50 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		req, err := http.NewRequest(http.MethodGet, "http://"+address+"/.ring", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", protocol)
		req.Header.Set(fromHeader, strings.Repeat("b", 10_000))
		req.Header.Set(nonceHeader, nonce())
		if err := req.Write(conn); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		if _, err := http.ReadResponse(r, req); err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(make([]byte, 32)) // no proof
		_, _ = io.ReadAll(r)                // until it is refused
		conn.Close()
	}
	log := out.String()
	if n := strings.Count(log, "without the key was refused"); n != 5 || len(log) > 5000 {
		t.Errorf("50 strangers left %d lines of %d bytes, want 5 short ones", n, len(log))
	}
}
