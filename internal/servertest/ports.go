package servertest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// A port is one of loopback's, reserved for this process until release. Other processes that
// use this package keep off it even while nothing listens on it, as between Kill and Restart.
// The port 10000 above belongs to it (Redis' cluster bus).
type port struct {
	number int
	lock   *os.File
}

const (
	firstPort  = 12000 // below ip_local_port_range, so that no outgoing connection takes one
	lastPort   = 21999
	portOffset = 10000
)

// reserve finds a free port.
func reserve() (port, error) {
	dir := filepath.Join(os.TempDir(), "go-platform-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return port{}, err
	}
	_ = os.Chmod(dir, 0o777) // against the umask: other users reserve here too
	for range 1000 {
		n := firstPort + rand.IntN(lastPort-firstPort+1)
		lock, err := lockFile(filepath.Join(dir, strconv.Itoa(n)))
		if err != nil {
			continue
		}
		if free(n) && free(n+portOffset) {
			return port{n, lock}, nil
		}
		lock.Close()
	}
	return port{}, fmt.Errorf("no free port between %d and %d", firstPort, lastPort)
}

// reserveAgain reserves a port on which a server listens that another process has reserved.
func reserveAgain(n int) port {
	lock, err := lockFile(filepath.Join(os.TempDir(), "go-platform-ports", strconv.Itoa(n)))
	if err != nil {
		return port{number: n} // it is reserved still
	}
	return port{n, lock}
}

func (p port) release() {
	if p.lock != nil {
		p.lock.Close()
	}
}

// free reports whether nobody listens on n.
func free(n int) bool {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(n))
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	udp.Close()
	return true
}

// Port returns the number of a loopback port that is the test's until its end, also while nothing
// listens on it: for what a test starts itself and restarts in place.
func Port(t testing.TB) int {
	t.Helper()
	p, err := reserve()
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	t.Cleanup(p.release)
	return p.number
}
